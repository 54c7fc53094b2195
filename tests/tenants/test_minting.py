import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from tenants import keys
from tenants.models import ApiKey, Project, Tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return Tenant.objects.create(slug="acme", name="Acme")


def test_it_works(acme, settings):
    api_key, text = ApiKey.mint(tenant=acme, name="CI")
    api_key.refresh_from_db()
    assert keys.is_well_formed(text)
    assert api_key.prefix == text[6:18]
    assert bytes(api_key.digest) == keys.digest(text, settings.RUNESTONE_KEY_PEPPER)
    assert api_key.state == "active"


def test_nothing_of_the_secret_is_stored(acme):
    api_key, text = ApiKey.mint(tenant=acme, name="CI")
    with connection.cursor() as cursor:
        cursor.execute("SELECT k::text FROM tenants_apikey k WHERE id = %s", [api_key.id])
        [row] = cursor.fetchone()
    secret = text[18:]
    pieces = {secret[start : start + 6] for start in range(len(secret) - 5)}
    assert api_key.prefix in row
    assert not any(piece in row or piece.encode().hex() in row for piece in pieces)
    assert secret not in repr(vars(api_key))
    assert secret not in str(api_key)


def test_a_key_may_belong_to_a_project_of_its_tenant(acme):
    project = Project.objects.create(tenant=acme, slug="web", name="Web")
    api_key, _ = ApiKey.mint(tenant=acme, project=project, name="CI")
    assert api_key.project == project


def test_a_strangers_project_is_refused_with_words(acme):
    globex = Tenant.objects.create(slug="globex", name="Globex")
    theirs = Project.objects.create(tenant=globex, slug="web", name="Web")
    with pytest.raises(ValidationError) as caught:
        ApiKey.mint(tenant=acme, project=theirs, name="CI")
    assert caught.value.message_dict == {"project": ["This project belongs to another tenant."]}
    assert not ApiKey.objects.exists()


def test_a_key_has_a_name(acme):
    with pytest.raises(ValidationError):
        ApiKey.mint(tenant=acme, name="")


def test_revoking_is_for_good(acme):
    api_key, _ = ApiKey.mint(tenant=acme, name="CI")
    api_key.revoke()
    first = api_key.revoked_at
    api_key.revoke()
    api_key.refresh_from_db()
    assert api_key.state == "revoked"
    assert api_key.revoked_at == first
