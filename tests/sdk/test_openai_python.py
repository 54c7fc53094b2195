"""openai-python's own tests, from its source distribution, against the gateway over the mock."""

import asyncio
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import openai
import psycopg
import pytest
from django.conf import settings

from api.responses.store import Store
from providers.models import Model
from runestone.lib.database import conninfo
from runestone.lib.encryption import Vault
from tests.cast import Account, add_mock_model, open_account, wait_until_served
from tests.gateway_process import GatewayProcess
from tests.sdk.conftest import Install, download_source, make_venv

VERSION = "3.52.0"
# What the SDK's tests import beside the SDK, and what our plugin does.
TOOLS = ("pytest>=9,<10", "pytest-asyncio>=1.4,<2", "rich>=13.7", "psycopg[binary]>=3.2,<4")
REQUIREMENTS = (f"openai[aiohttp]=={VERSION}", *TOOLS)
FILES = (
    "chat/test_completions.py",
    "responses/test_input_items.py",
    "test_completions.py",
    "test_embeddings.py",
    "test_models.py",
    "test_moderations.py",
    "test_responses.py",
)
# The models that those tests name.
MODELS = ("gpt-6-astra", "omni-moderation-2024-09-26")
# The stored response that they ask for.
RESPONSE = UUID("677efb5139a88190b512bc3fef8e535d")
SECONDS_MAX = 240
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def python(install: Install) -> Path:
    venv = install(
        "openai-python",
        " ".join(REQUIREMENTS),
        lambda place, run: make_venv(place, run, *REQUIREMENTS),
    )
    return venv / "bin" / "python"


@pytest.fixture(scope="module")
def source(install: Install) -> Path:
    requirement = f"openai=={VERSION}"
    place = install(
        "openai-python-source",
        requirement,
        lambda place, run: download_source(place, run, requirement),
    )
    return place / f"openai-{VERSION}"


def test_it_works(python: Path, source: Path, gateway: GatewayProcess, live: str):
    account = open_account("OpenAI")
    account.tenant.default_model = "gpt-4o-mini"
    account.tenant.save()
    with account.client(gateway.url) as client:
        for name in MODELS:
            if not Model.objects.filter(name=name).exists():
                add_mock_model(name, name)
            wait_until_served(client, name)
        keep_response(client, account, live)
    ran = subprocess.run(
        [
            # Pytest's own tracebacks of the expected failures take ten times longer than the tests.
            *(str(python), "-m", "pytest", "-p", "runestone_sdk", "-o", "addopts="),
            *("--tb=native", "--show-capture=no", "-q", "-rfX", "-p", "no:cacheprovider"),
            *(f"tests/api_resources/{file}" for file in FILES),
        ],
        cwd=source,
        env=os.environ
        | {
            "TEST_API_BASE_URL": gateway.url,
            "RUNESTONE_SDK_KEY": account.key,
            "RUNESTONE_SDK_DATABASE": live,
            "PYTHONPATH": str(HERE / "plugins"),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert ran.returncode == 0, ran.stdout


def keep_response(client: openai.OpenAI, account: Account, live: str) -> None:
    """A response under the id that the tests name, and a copy of its row for our plugin."""
    made = client.responses.create(input="Hello")
    asyncio.run(copy_response(UUID(made.id.removeprefix("resp_")), account))
    with psycopg.connect(live, autocommit=True) as database:
        database.execute(
            "CREATE TABLE sdk_responses AS SELECT * FROM api_storedresponse WHERE id = %s",
            [RESPONSE],
        )


async def copy_response(made: UUID, account: Account) -> None:
    vault = Vault(settings.RUNESTONE_CREDENTIAL_KEYS)
    info = conninfo(settings.DATABASES["default"])
    store = Store(info, vault, days=1, chain_bytes_max=1)
    caller = SimpleNamespace(tenant_id=account.tenant.id, api_key_id=account.api_key.id)
    try:
        stored = await store.get(account.tenant.id, made)
        await store.put(caller, RESPONSE, None, stored)
    finally:
        await store.close()
