"""What an upstream offers: the names of its models, as its own listing tells them.

httpx, since no call waits for it. An upstream may be slow, endless or hostile: time, pages and
bytes have ends, redirects are not followed, and names that are no plain text are left out.
"""

import time
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from providers.dialects.quirks import Quirks
from providers.models import Upstream
from runestone.lib.encryption import CannotOpen

# For one upstream: for all of its pages together, and for each wait within.
LISTING_SECONDS_MAX = 20.0
WAIT_SECONDS_MAX = 5.0
PAGES_MAX = 50
# Of one page; the longest lists have a few hundred models and some kilobytes on each.
PAGE_BYTES_MAX = 16 * 1024 * 1024
NAME_CHARACTERS_MAX = 200


class CannotTell(Exception):
    """Why there is no list, in words for a person."""


class Listing(Struct, frozen=True, kw_only=True):
    """How a dialect's upstreams are asked for their models."""

    path: str = "/models"
    key_header: str = "authorization"
    key_scheme: str = "Bearer "
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    # What may stand before or after a name and means nothing.
    prefix: str = ""
    suffix: str = ""


_LISTINGS = {
    # Gemini's listing puts "models/" before names that it takes without.
    "openai": Listing(prefix="models/"),
    "azure": Listing(key_header="api-key", key_scheme=""),
    "anthropic": Listing(
        key_header="x-api-key",
        key_scheme="",
        headers={"anthropic-version": "2023-06-01"},
        query={"limit": "1000"},
    ),
    "ollama": Listing(path="/api/tags", suffix=":latest"),
}


class _Item(Struct):
    id: str | None = None
    name: str | None = None


class _Page(Struct):
    data: list[_Item] | None = None
    # Ollama's word for it.
    models: list[_Item] | None = None
    has_more: bool = False
    last_id: str | None = None


_page = msgspec.json.Decoder(_Page | list[_Item])


class Question(Struct, frozen=True, kw_only=True):
    """All that is needed to ask an upstream, so that it can be asked in another thread."""

    url: str
    headers: dict[str, str]
    query: dict[str, str]
    has_key: bool

    @classmethod
    def to(cls, upstream: Upstream) -> "Question":
        """Raises CannotTell if there is nothing to ask, or no key to ask with."""
        listing = _LISTINGS.get(upstream.dialect)
        if listing is None:
            raise CannotTell(f"the dialect {upstream.dialect} has no listing")
        if upstream.dialect == "azure" and not upstream.base_url.endswith("/v1"):
            raise CannotTell("a resource of Azure lists models, but not its deployments")
        try:
            quirks = msgspec.convert(upstream.quirks or {}, Quirks)
        except msgspec.ValidationError as error:
            raise CannotTell(f"its quirks cannot be used: {error}") from None
        secret = _shared_secret(upstream)
        own = {name.lower(): value for name, value in quirks.headers.items()}
        key = {listing.key_header: listing.key_scheme + secret} if secret else {}
        return cls(
            url=upstream.base_url + listing.path,
            headers={**listing.headers, **key, **own, "accept-encoding": "identity"},
            query={**quirks.query, **listing.query},
            has_key=bool(secret),
        )


def plain_name(upstream: Upstream, name: str) -> str:
    """`name` without what this upstream may put around it or leave out."""
    listing = _LISTINGS.get(upstream.dialect, Listing())
    return name.removeprefix(listing.prefix).removesuffix(listing.suffix)


def offered(question: Question) -> list[str]:
    """The names of an upstream's models, in order. Raises CannotTell."""
    deadline = time.monotonic() + LISTING_SECONDS_MAX
    names: set[str] = set()
    query = dict(question.query)
    # A proxy of the environment is not asked on the hot path either.
    with httpx.Client(timeout=WAIT_SECONDS_MAX, trust_env=False) as client:
        for _ in range(PAGES_MAX):
            page = _read(_get(client, question, query, deadline))
            items = page if isinstance(page, list) else page.data or page.models or []
            names |= {name for item in items if _is_plain(name := item.id or item.name or "")}
            if isinstance(page, list) or not page.has_more or not page.last_id:
                return sorted(names)
            query["after_id"] = page.last_id
    raise CannotTell(f"its list has more than {PAGES_MAX} pages")


def _shared_secret(upstream: Upstream) -> str:
    """The operator's first key that opens; a tenant's own is for that tenant's calls alone."""
    credentials = list(upstream.credentials.filter(tenant=None, enabled=True))
    for credential in credentials:
        try:
            return credential.opened()
        except CannotOpen:
            continue
    if credentials:
        raise CannotTell("none of its stored credentials can be opened")
    return ""


def _get(client: httpx.Client, question: Question, query: dict[str, str], deadline: float) -> bytes:
    body = bytearray()
    try:
        with client.stream("GET", question.url, params=query, headers=question.headers) as answer:
            if answer.status_code != httpx.codes.OK:
                raise CannotTell(f"it answered {answer.status_code}")
            for piece in answer.iter_raw():
                body += piece
                if len(body) > PAGE_BYTES_MAX:
                    raise CannotTell(f"its list is larger than {PAGE_BYTES_MAX:,} bytes")
                if time.monotonic() > deadline:
                    raise CannotTell(f"its list took more than {LISTING_SECONDS_MAX:.0f} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CannotTell(f"it cannot be asked: {type(error).__name__}") from None
    return bytes(body)


def _read(body: bytes) -> Any:
    try:
        page = _page.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        page = _Page()
    if isinstance(page, _Page) and page.data is None and page.models is None:
        raise CannotTell("its answer is no list of models")
    return page


def _is_plain(name: str) -> bool:
    """Names go to a terminal and into the catalogue."""
    return 0 < len(name) <= NAME_CHARACTERS_MAX and name.isprintable()
