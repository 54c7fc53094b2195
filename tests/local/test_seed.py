"""What a first run finds in the catalogue: vendors as rows, and routes to those that have a key."""

import msgspec
import pytest

from billing.models import Price
from providers.dialects import DIALECTS
from providers.models import Credential, Model, Route, Upstream
from runestone import settings as settings_module
from runestone.local import vendors
from runestone.local.seed import seed_catalogue

MOCK_URL = "http://127.0.0.1:4011/v1"
OUR_OWN = {"echo", "mock"}
pytestmark = pytest.mark.django_db


def enabled():
    return set(Upstream.objects.filter(enabled=True).values_list("slug", flat=True))


def routed(slug):
    return set(Route.objects.filter(upstream__slug=slug).values_list("model__name", flat=True))


def test_it_works():
    seed_catalogue(MOCK_URL, {})
    assert enabled() == OUR_OWN
    assert Upstream.objects.filter(enabled=False).count() == len(vendors.known())
    assert {"gpt-4o-mini", "gpt-4o", "text-embedding-3-small"} < routed("mock")
    assert not Credential.objects.exists()


def test_a_vendor_without_a_key_serves_nothing():
    seed_catalogue(MOCK_URL, {"GROQ_API_KEY": ""})
    assert Model.objects.filter(name="gpt-oss-120b").exists()
    assert not Route.objects.exclude(upstream__slug__in=OUR_OWN).exists()
    assert not Price.objects.exclude(upstream__in=OUR_OWN).exists()


def test_a_vendor_with_a_key_serves_its_models():
    seed_catalogue(MOCK_URL, {"GROQ_API_KEY": "gsk-1"})
    assert enabled() == OUR_OWN | {"groq"}
    assert routed("groq") == {"gpt-oss-120b", "gpt-oss-20b"}
    route = Route.objects.get(model__name="gpt-oss-120b")
    assert route.upstream_model == "openai/gpt-oss-120b"
    prices = Price.objects.filter(upstream="groq", model="gpt-oss-120b")
    assert {(price.component, str(price.usd.normalize())) for price in prices} == {
        ("input", "0.15"),
        ("cached_input", "0.075"),
        ("output", "0.6"),
    }
    assert Credential.objects.get().upstream.slug == "groq"


def test_openai_takes_its_models_from_the_mock_provider():
    seed_catalogue(MOCK_URL, {"OPENAI_API_KEY": "sk-1"})
    assert "gpt-4o-mini" in routed("openai")
    assert routed("mock") == {"mock", "gpt-3.5-turbo-instruct"} - routed("openai")


@pytest.mark.parametrize(
    ("environment", "base_url"),
    [
        ({"AZURE_OPENAI_API_KEY": "k"}, None),
        ({"AZURE_OPENAI_ENDPOINT": "https://acme.openai.azure.com/"}, None),
        (
            {
                "AZURE_OPENAI_ENDPOINT": "https://acme.openai.azure.com/",
                "AZURE_OPENAI_API_KEY": "k",
            },
            "https://acme.openai.azure.com",
        ),
    ],
    ids=["key", "address", "both"],
)
def test_what_needs_an_address_and_a_key_needs_both(environment, base_url):
    seed_catalogue(MOCK_URL, environment)
    azure = Upstream.objects.get(slug="azure")
    assert azure.enabled == (base_url is not None)
    assert base_url in (None, azure.base_url)


def test_a_server_of_ones_own_needs_no_key():
    seed_catalogue(MOCK_URL, {"OLLAMA_BASE_URL": "http://gpu:11434/"})
    assert Upstream.objects.get(slug="ollama").base_url == "http://gpu:11434"
    assert enabled() == OUR_OWN | {"ollama"}


def test_every_row_could_be_entered_in_the_admin():
    seed_catalogue(MOCK_URL, {})
    for upstream in Upstream.objects.all():
        upstream.full_clean()
        assert upstream.dialect in DIALECTS


def test_every_model_has_a_vendor_that_is_known():
    everything = {
        name: "x" for each in vendors.known() for name in (each.key_variable, each.url_variable)
    }
    seed_catalogue(MOCK_URL, everything | {"AZURE_OPENAI_ENDPOINT": "https://a.test"})
    assert not Model.objects.filter(routes=None).exists()


def test_a_mistyped_row_is_noticed():
    row = {"slug": "x", "name": "X", "dialect": "openai", "base_url": "", "homepage": ""}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(row | {"quirks": {"drop_feilds": []}}, vendors.Vendor)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(row | {"key": "K"}, vendors.Vendor)


def test_every_key_may_come_from_a_file():
    keys = {vendor.key_variable for vendor in vendors.known() if vendor.key_variable}
    assert keys < settings_module._FILE_SETTINGS
