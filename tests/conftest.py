"""Real parts for every test: Postgres and Valkey (tests/embedded.py), the mock provider, gateways.

Tests of one function use pytest-django's `db` and are rolled back. Tests over sockets use `live`: a
database of their own, whose rows are committed, for the gateway's process must see them; there
each test opens its own accounts, so that nothing has to be cleaned up.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import environ
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import openai
import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.utils.text import slugify
from pytest_django import DjangoDbBlocker

from providers.models import Model
from runestone.lib.database import conninfo
from runestone.local.mock_provider.process import MockProvider
from runestone.local.seed import seed_catalogue
from tests.cast import Account, add_mock_model, open_account, wait_until_served
from tests.gateway_process import GatewayProcess


@pytest.fixture(scope="session")
def mock_provider() -> Iterator[MockProvider]:
    with MockProvider() as running:
        yield running


@pytest.fixture(scope="session")
def live_database(django_db_blocker: DjangoDbBlocker, mock_provider: MockProvider) -> Iterator[str]:
    """The name of a migrated database with a catalogue, whose rows stay; dropped at the end."""
    name = f"runestone_live_{environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    maintenance = conninfo(settings.DATABASES["default"] | {"NAME": "postgres"})
    with psycopg.connect(maintenance, autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
        with django_db_blocker.unblock(), using_database(name):
            call_command("migrate", verbosity=0)
            seed_catalogue(mock_provider.url, {})
        yield name
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def live_database_url(live_database: str) -> str:
    return url_of(live_database)


@pytest.fixture
def live(live_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The ORM of this test works on the live database. Gives its URL."""
    with django_db_blocker.unblock(), using_database(live_database):
        yield url_of(live_database)


@pytest.fixture(scope="session")
def gateway(live_database: str) -> Iterator[GatewayProcess]:
    """One gateway for the whole run, with the mock provider and the echo behind it."""
    with GatewayProcess(url_of(live_database)) as running:
        yield running


@contextmanager
def using_database(name: str) -> Iterator[None]:
    """Django's default connection goes to another database of the same server."""
    database = settings.DATABASES["default"]
    before = database["NAME"]
    connections["default"].close()
    database["NAME"] = name
    try:
        yield
    finally:
        connections["default"].close()
        database["NAME"] = before


@pytest.fixture
def acme(live: str) -> Account:
    """The owner, with a hard budget of $100 a month."""
    return open_account("Acme")


@pytest.fixture
def globex(live: str) -> Account:
    """The stranger."""
    return open_account("Globex")


@pytest.fixture
def client(gateway: GatewayProcess, acme: Account) -> Iterator[openai.OpenAI]:
    """The official SDK with Acme's key."""
    with acme.client(gateway.url) as made:
        yield made


Scenario = Callable[[str], str]
Ask = Callable[..., Any]


@pytest.fixture
def scenario(gateway: GatewayProcess, client: openai.OpenAI) -> Scenario:
    """scenario("cut=2") names a model that the mock provider serves in that way, at a price."""

    def model_of(text: str) -> str:
        name = f"mock-{slugify(text)}-{zlib.crc32(text.encode()):08x}"
        if not Model.objects.filter(name=name).exists():
            add_mock_model(name, f"gpt-4o-mini:{text}")
        wait_until_served(client, name)
        return name

    return model_of


@pytest.fixture
def ask(client: openai.OpenAI, scenario: Scenario) -> Ask:
    """ask("cut=2", stream=True): what the SDK gives for a chat completion under a scenario."""

    def asked(how: str = "", text: str = "The quick brown fox", **options: Any) -> Any:
        model = scenario(how) if how else "gpt-4o-mini"
        messages = [{"role": "user", "content": text}]
        return client.chat.completions.create(**{"model": model, "messages": messages, **options})

    return asked


def url_of(name: str) -> str:
    url = urlsplit(environ["DATABASE_URL"])
    return urlunsplit(url._replace(path=f"/{name}"))
