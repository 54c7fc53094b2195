"""A form that works once: sent again by a reload or a double click, it is refused.

The page that shows a new key is the answer to a POST, because the secret must not be kept for a
redirect. So a reload sends the POST again, and would make a second key.
"""

import secrets
from typing import Any

from django import forms
from django.core import signing
from django.core.cache import cache
from django.core.exceptions import ValidationError

_SALT = "runestone.admin.once"
# How long a form may stay open before it is sent, and how long a used one is remembered.
FORM_SECONDS_MAX = 12 * 60 * 60
_USED = (
    "This form has made its key already; the secret was shown then, and only then. "
    "If it is lost, revoke that key and add another."
)
_STALE = "This form is too old, or was changed on its way. Open it again."


class OnceForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Takes its token when everything else is valid: a mistake in a field does not use it up."""

    once = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["once"] = signing.dumps(secrets.token_hex(16), salt=_SALT)

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # unknown to the stubs
        if not self.errors:
            try:
                _take(self.cleaned_data["once"])
            except ValidationError as refusal:
                self.add_error(None, refusal)


def _take(token: str) -> None:
    try:
        nonce = signing.loads(token, salt=_SALT, max_age=FORM_SECONDS_MAX)
    except signing.BadSignature:
        raise ValidationError(_STALE, code="stale") from None
    # `add` is atomic: of two equal requests at once, one wins.
    if not cache.add(f"admin:once:{nonce}", 1, timeout=FORM_SECONDS_MAX):
        raise ValidationError(_USED, code="used")
