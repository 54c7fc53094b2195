"""A vendor's quirks are data: what it cannot do is refused or left out, never silently ignored."""

import msgspec
import pytest
from django.core.exceptions import ValidationError

from providers.dialects.openai import OpenAIDialect
from providers.dialects.quirks import Quirks
from providers.models import Upstream
from runestone.lib.errors import BadRequest
from tests.providers.calls import chat, target

QUIRKS = {
    "refuse_fields": ["logprobs"],
    "drop_fields": ["store"],
    "rename_fields": {"max_completion_tokens": "max_tokens"},
}


def sent(output_tokens_max=None, **fields):
    asked, to = chat(**fields), target(quirks=msgspec.convert(QUIRKS, Quirks))
    request = OpenAIDialect().request(asked, to, output_tokens_max=output_tokens_max)
    return msgspec.json.decode(request.body)


def test_it_works():
    arrived = sent(store=True, max_completion_tokens=5, temperature=1)
    assert "store" not in arrived
    assert (arrived["max_tokens"], arrived["temperature"]) == (5, 1)
    assert "max_completion_tokens" not in arrived


def test_what_the_vendor_cannot_do_is_refused_by_name():
    with pytest.raises(BadRequest) as caught:
        sent(logprobs=True)
    assert (caught.value.param, caught.value.code) == ("logprobs", "unsupported_parameter")


def test_null_is_absent():
    assert "logprobs" not in sent(logprobs=None)


def test_an_imposed_cap_is_renamed_as_well():
    assert sent(output_tokens_max=9)["max_tokens"] == 9


@pytest.mark.parametrize(
    "quirks", [{"drop_feilds": []}, {"drop_fields": "store"}, ["store"], {"rename_fields": [1]}]
)
def test_a_mistyped_quirk_is_refused_where_it_is_entered(quirks):
    upstream = Upstream(
        slug="x", name="X", dialect="openai", base_url="https://x.test/v1", quirks=quirks
    )
    with pytest.raises(ValidationError) as caught:
        upstream.clean()
    assert "quirks" in caught.value.message_dict
