"""The key under which secrets are sealed is changed, and the old one can go."""

import base64
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from api.models import StoredResponse
from api.responses.store import context
from providers.models import Credential, Upstream
from runestone.lib import rotation
from runestone.lib.encryption import Vault
from runestone.lib.ids import uuid7
from tenants.models import Tenant

OLD, NEW = (base64.urlsafe_b64encode(bytes([number]) * 32).decode() for number in (1, 2))
# More than two batches, and no whole number of them.
RESPONSES = 5


@pytest.fixture
def tenant(db):
    return Tenant.objects.create(slug="acme", name="Acme")


@pytest.fixture
def house(tenant, settings, monkeypatch):
    """Rows that the old key sealed."""
    monkeypatch.setattr(rotation, "BATCH_ROWS", 2)
    settings.RUNESTONE_CREDENTIAL_KEYS = [OLD]
    upstream = Upstream.objects.create(
        slug="vendor", name="Vendor", dialect="openai", base_url="https://vendor.test/v1"
    )
    upstream.add_credential("sk-shared")
    upstream.add_credential("sk-acme", tenant=tenant)
    for number in range(RESPONSES):
        respond(tenant, f"answer {number}")
    settings.RUNESTONE_CREDENTIAL_KEYS = [NEW, OLD]
    return upstream


def respond(tenant, text):
    made = uuid7()
    return StoredResponse.objects.create(
        id=made,
        tenant=tenant,
        sealed=Vault([OLD]).seal(text, context=context(tenant.pk, made)),
        expires=datetime.now(UTC) + timedelta(days=1),
    )


def rotate():
    out = StringIO()
    call_command("rotate_credentials", stdout=out, stderr=out)
    return out.getvalue().splitlines()


def everything():
    """What the new key alone opens."""
    vault = Vault([NEW])
    return sorted(each.opened() for each in Credential.objects.select_related("upstream")) + [
        vault.open(row.sealed, context=context(row.tenant_id, row.id))
        for row in StoredResponse.objects.order_by("id")
    ]


def test_it_works(house, settings):
    assert rotate() == [
        "credentials: 2 of 2 sealed anew",
        "stored responses: 5 of 5 sealed anew",
    ]
    settings.RUNESTONE_CREDENTIAL_KEYS = [NEW]
    assert everything() == ["sk-acme", "sk-shared", *(f"answer {n}" for n in range(RESPONSES))]


def test_to_repeat_it_changes_nothing(house):
    rotate()
    before = [bytes(row.sealed) for row in Credential.objects.all()]
    assert rotate() == [
        "credentials: 0 of 2 sealed anew",
        "stored responses: 0 of 5 sealed anew",
    ]
    assert [bytes(row.sealed) for row in Credential.objects.all()] == before


def test_it_goes_on_where_it_was_stopped(house):
    vault = Vault([NEW, OLD])
    batches = rotation.reseal(
        StoredResponse.objects.all(), vault, lambda row: context(row.tenant_id, row.id)
    )
    assert next(batches) == (2, [])
    batches.close()
    assert rotate()[1] == "stored responses: 3 of 5 sealed anew"


def test_what_does_not_open_is_named_and_the_rest_is_done(house, tenant, settings):
    broken = Credential.objects.get(tenant=None)
    Credential.objects.filter(pk=broken.pk).update(sealed=b"too short")
    moved = respond(tenant, "another's")
    other = Tenant.objects.create(slug="globex", name="Globex")
    StoredResponse.objects.filter(pk=moved.pk).update(tenant=other)
    out = StringIO()
    with pytest.raises(CommandError, match=r"^2 could not be opened") as caught:
        call_command("rotate_credentials", stdout=out, stderr=out)
    assert caught.value.returncode == 1
    assert out.getvalue().splitlines() == [
        f"cannot be opened: credential {broken.pk}, 'default' of upstream vendor",
        "credentials: 1 of 2 sealed anew",
        f"cannot be opened: stored response {moved}",
        "stored responses: 5 of 6 sealed anew",
    ]


def test_only_the_first_key_seals(house, settings):
    """Turned round again, everything goes back under the old key."""
    rotate()
    settings.RUNESTONE_CREDENTIAL_KEYS = [OLD, NEW]
    assert rotate()[0] == "credentials: 2 of 2 sealed anew"
