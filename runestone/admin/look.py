"""The admin's look: name, colours, and the sidebar. Read by the settings, so it imports no app."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

_BADGES = {"local": "info", "development": "info", "production": "danger"}


def environment(request: HttpRequest) -> list[str]:
    """The badge at the top right: where am I, and does it hurt?"""
    return [settings.ENVIRONMENT, _BADGES.get(settings.ENVIRONMENT, "warning")]


def title_prefix(request: HttpRequest) -> str:
    """Tabs of several installations side by side are told apart by their titles."""
    return f"[{settings.ENVIRONMENT}]"


def _page(title: str, icon: str, model: str, seen_with: str = "") -> dict[str, Any]:
    """`seen_with`: another model, whose viewers see this page, too."""
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may_view(*(seen_with or model).split(".")),
    }


def _may_view(app: str, name: str) -> Callable[[HttpRequest], bool]:
    return lambda request: (
        request.user.has_perm(f"{app}.view_{name}") or request.user.has_perm(f"{app}.change_{name}")
    )


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Runestone",
    "SITE_HEADER": "Runestone",
    "SITE_SUBHEADER": "LLM gateway",
    "SITE_ICON": lambda request: static("runestone/mark.svg"),
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("runestone/mark.svg"),
        },
    ],
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "ENVIRONMENT": "runestone.admin.look.environment",
    "ENVIRONMENT_TITLE_PREFIX": "runestone.admin.look.title_prefix",
    "BORDER_RADIUS": "6px",
    "STYLES": [lambda request: static("runestone/admin.css")],
    "SCRIPTS": [lambda request: static("runestone/admin.js")],
    "COLORS": {
        # Teal. White text on 600 has a contrast of 5.0 : 1.
        "primary": {
            "50": "oklch(98% .015 188)",
            "100": "oklch(95% .04 187)",
            "200": "oklch(90.5% .075 186)",
            "300": "oklch(84.5% .11 186)",
            "400": "oklch(76% .12 186)",
            "500": "oklch(66.5% .113 187)",
            "600": "oklch(52.5% .09 189)",
            "700": "oklch(46% .079 190)",
            "800": "oklch(40% .067 191)",
            "900": "oklch(35.5% .056 192)",
            "950": "oklch(26% .043 193)",
        },
    },
    "COMMAND": {
        # The ledger is not among them: a search there costs what the ledger is long.
        "search_models": [
            "tenants.tenant",
            "tenants.project",
            "tenants.apikey",
            "providers.upstream",
            "providers.model",
        ],
        "search_callback": "runestone.admin.joins.search_request",
    },
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "navigation": [
            {
                "title": "Tenancy",
                "separator": True,
                "items": [
                    _page("Tenants", "domain", "tenants.tenant"),
                    _page("Projects", "folder_open", "tenants.project"),
                    _page("API keys", "vpn_key", "tenants.apikey"),
                ],
            },
            {
                "title": "Catalogue",
                "separator": True,
                "items": [
                    _page("Upstreams", "dns", "providers.upstream"),
                    _page("Models", "neurology", "providers.model"),
                    _page("Prices", "sell", "billing.price"),
                    _page(
                        "Price proposals", "price_change", "billing.priceproposal", "billing.price"
                    ),
                ],
            },
            {
                "title": "Money",
                "separator": True,
                "items": [
                    _page("Ledger", "receipt_long", "billing.entry"),
                    _page("Budgets", "savings", "billing.budget"),
                    _page("Budget windows", "date_range", "billing.budgetwindow"),
                    _page("Holds", "hourglass_top", "billing.hold"),
                    _page("Gateways", "lan", "billing.gatewayinstance"),
                    _page("Proof", "verified", "billing.proof"),
                ],
            },
            {
                "title": "Access",
                "separator": True,
                "items": [
                    _page("Members", "badge", "tenants.member"),
                    _page("Users", "group", "auth.user"),
                    _page("Groups", "shield_person", "auth.group"),
                ],
            },
        ],
    },
}
