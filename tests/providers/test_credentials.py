"""Credentials as rows: what their seal is bound to, what is told of them, how they came here."""

from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connections

from providers.credentials import seal
from providers.models import Credential, Upstream
from runestone.lib.database import conninfo
from runestone.lib.encryption import CannotOpen
from tenants.models import Tenant
from tests.conftest import using_database

SECRET = "sk-proj-0123456789abcdefghijklmn"


@pytest.fixture
def upstream(db):
    return Upstream.objects.create(
        slug="vendor", name="Vendor", dialect="openai", base_url="https://vendor.test/v1"
    )


@pytest.fixture
def acme(db):
    return Tenant.objects.create(slug="acme", name="Acme")


def test_it_works(upstream, acme):
    upstream.add_credential(SECRET)
    upstream.add_credential("sk-brought", tenant=acme)
    shared, own = Credential.objects.all()
    assert (shared.opened(), shared.tenant, shared.name, shared.state) == (
        SECRET,
        None,
        "default",
        "active",
    )
    assert (own.opened(), own.tenant) == ("sk-brought", acme)
    assert SECRET.encode() not in bytes(shared.sealed)


def test_only_a_long_secret_has_a_hint(upstream):
    assert str(upstream.add_credential(SECRET, "long")) == "long (…klmn)"
    assert str(upstream.add_credential("sk-of-the-vendor", "short")) == "short"


def test_it_opens_for_its_address_and_its_tenant_only(upstream, acme):
    globex = Tenant.objects.create(slug="globex", name="Globex")
    own = upstream.add_credential(SECRET, tenant=acme)
    for tenant in (globex, None):
        own.tenant = tenant
        with pytest.raises(CannotOpen):
            own.opened()
        assert own.state == "unusable"
    own.tenant, own.enabled = acme, False
    assert (own.opened(), own.state) == (SECRET, "disabled")
    upstream.base_url = "https://thief.test/v1"
    with pytest.raises(CannotOpen):
        own.opened()


def test_a_name_is_taken_once_for_all_and_once_for_each_tenant(upstream, acme):
    upstream.add_credential(SECRET)
    upstream.add_credential(SECRET, tenant=acme)
    for tenant in (None, acme):
        again = Credential(upstream=upstream, tenant=tenant)
        again.seal(SECRET)
        with pytest.raises(ValidationError, match="This name is taken"):
            again.full_clean()


def test_with_its_tenant_it_is_gone(upstream, acme):
    """Or it would become everybody's."""
    upstream.add_credential(SECRET, tenant=acme)
    acme.delete()
    assert not Credential.objects.exists()


@pytest.fixture
def before_credentials(django_db_blocker):
    """A database as it was when an upstream had one credential, in a column."""
    name = f"runestone_moving_{uuid4().hex[:8]}"
    maintenance = conninfo(settings.DATABASES["default"] | {"NAME": "postgres"})
    with psycopg.connect(maintenance, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            with django_db_blocker.unblock(), using_database(name):
                call_command("migrate", "providers", "0001", verbosity=0)
                yield
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_the_single_one_of_before_is_moved(before_credentials):
    with connections["default"].cursor() as cursor:
        for slug, secret in (("openai", SECRET), ("ollama", None)):
            url = f"https://{slug}.test/v1"
            sealed = secret and seal(secret, url, None)
            cursor.execute(_UPSTREAM_OF_BEFORE, [slug, slug, url, sealed])
    call_command("migrate", "providers", verbosity=0)
    [moved] = Credential.objects.all()
    assert (moved.upstream.slug, moved.tenant, moved.name) == ("openai", None, "default")
    assert (moved.opened(), moved.state) == (SECRET, "active")


_UPSTREAM_OF_BEFORE = """
    INSERT INTO providers_upstream
        (slug, name, dialect, base_url, credential_sealed, quirks, enabled, created)
    VALUES (%s, %s, 'openai', %s, %s, '{}', true, now())
"""
