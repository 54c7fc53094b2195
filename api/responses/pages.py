"""OpenAI's pages of a list: `limit`, `order` and `after`."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from runestone.lib.errors import BadRequest

ITEMS_MAX = 100
ITEMS_DEFAULT = 20


class Page(Struct):
    limit: int = ITEMS_DEFAULT
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None

    def of(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """`items` come the oldest first. Raises BadRequest."""
        ordered = items if self.order == "asc" else items[::-1]
        if self.after is not None:
            ordered = ordered[self._place(ordered) + 1 :]
        data = ordered[: self.limit]
        return {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": len(data) < len(ordered),
        }

    def _place(self, items: list[dict[str, Any]]) -> int:
        for place, item in enumerate(items):
            if item["id"] == self.after:
                return place
        raise _invalid("after", "There is no such item.")


def read(query: Mapping[str, Any]) -> Page:
    """Raises BadRequest."""
    limit = query.get("limit", str(ITEMS_DEFAULT))
    # Python itself refuses to read numbers of thousands of digits.
    if not limit.isdecimal() or len(limit) > 3 or not 1 <= int(limit) <= ITEMS_MAX:
        raise _invalid("limit", f"Expected an integer from 1 to {ITEMS_MAX}.")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise _invalid("order", "Expected 'asc' or 'desc'.")
    return Page(int(limit), order, query.get("after"))


def _invalid(param: str, reason: str) -> BadRequest:
    return BadRequest(f"Invalid '{param}'. {reason}", param=param, code="invalid_value")
