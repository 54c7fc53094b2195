"""What a key may be limited to: models by pattern, addresses by network.

`gpt-4o*` allows every model whose name begins so; `*` stands for any text, also for none.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.core.exceptions import ValidationError

PATTERN_CHARACTERS_MAX = 200
# Callers come back, so few addresses are read twice.
_ADDRESSES_REMEMBERED_MAX = 4_096

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def validate_pattern(pattern: str) -> None:
    if not pattern or not pattern.isprintable() or " " in pattern:
        raise ValidationError("%(pattern)r is no name of a model", params={"pattern": pattern})


def validate_network(text: str) -> None:
    try:
        ip_network(text)
    except ValueError as fault:
        raise ValidationError("%(fault)s", params={"fault": fault}) from None


def matches(pattern: str, name: str) -> bool:
    """Takes time in proportion to the name, whatever the pattern."""
    beginning, *middles = pattern.split("*")
    if not middles:
        return name == pattern
    end = middles.pop()
    if len(name) < len(beginning) + len(end) or not name.startswith(beginning):
        return False
    at, last = len(beginning), len(name) - len(end)
    for middle in middles:
        at = name.find(middle, at, last)
        if at < 0:
            return False
        at += len(middle)
    return name.endswith(end)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """What is no network allows nobody: rows may come by plain SQL, past every form."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError:
            continue
    return tuple(found)


@lru_cache(_ADDRESSES_REMEMBERED_MAX)
def address_of(text: str) -> Address | None:
    """An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) is an IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def contain(allowed: Sequence[Network], text: str) -> bool:
    """Whether the address is in one of them. One that cannot be read is in none."""
    address = address_of(text)
    return address is not None and any(address in network for network in allowed)
