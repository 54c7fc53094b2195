"""drf-spectacular's settings. Read by the settings, so it imports no app."""

from typing import Any

from runestone import __version__

DESCRIPTION = """\
An OpenAI-compatible, multi-tenant LLM gateway whose money can be proved.

Point an OpenAI SDK at it by its base URL (`…/v1`), or an Anthropic SDK (without `/v1`).
Requests are checked as OpenAI checks them; fields that are not listed here pass to the provider \
as they are.
Answers are the provider's own, with Runestone's fields beside them.
A field that is null means the same as one that is absent.
"""

_KEY = "The same key as in `Authorization`, where an SDK sends it"

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Runestone",
    "DESCRIPTION": DESCRIPTION,
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "LICENSE": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "SERVERS": [{"url": "/", "description": "This gateway."}],
    "TAGS": [
        {"name": "OpenAI", "description": "OpenAI's endpoints, for OpenAI's SDKs."},
        {"name": "Anthropic", "description": "Anthropic's endpoints, for Anthropic's SDKs."},
        {"name": "Runestone", "description": "What an account may read of its own ledger."},
        {"name": "Health", "description": "For load balancers and people. No key is needed."},
    ],
    # The data plane is not in Django's urlpatterns, so the generator has a list of its own.
    "DEFAULT_GENERATOR_CLASS": "api.contract.document.Generator",
    "POSTPROCESSING_HOOKS": ["api.contract.components.add"],
    "PREPROCESSING_HOOKS": [],
    "SCHEMA_PATH_PREFIX": "/v1",
    "SORT_OPERATIONS": False,
    "ENABLE_DJANGO_DEPLOY_CHECK": False,
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "`Authorization: Bearer sk-rs-…`",
            },
            "apiKey": {
                "type": "apiKey",
                "in": "header",
                "name": "api-key",
                "description": f"{_KEY} of Azure's kind.",
            },
            "xApiKey": {
                "type": "apiKey",
                "in": "header",
                "name": "x-api-key",
                "description": f"{_KEY} of Anthropic's kind.",
            },
        }
    },
}
