"""Which of an upstream's keys an attempt goes with: the tenant's own first, in turn, when rested.

A tenant that has a key of its own at an upstream is served with that alone, even while it cools
down. A shared key costs the operator money; whoever brought a key has agreed to pay the vendor, and
neither side has agreed to the other's bill.
"""

import time
from collections.abc import Callable

from msgspec import Struct

# Where the provider told no time. Most limits fill up again steadily, within seconds.
COOL_SECONDS_DEFAULT = 2.0
# Some providers tell hours, of a limit per day; one call in so long finds out whether it is so.
COOL_SECONDS_MAX = 300.0
# A key that the provider refuses (401, 402, 403) stays refused until a person has acted.
REJECTED_SECONDS = 600.0


class UpstreamKey(Struct, frozen=True):
    """A credential that is ready for use. `tenant_id` is None if all tenants share it."""

    id: int
    tenant_id: int | None
    secret: str

    def __repr__(self) -> str:
        """Without the secret: this ends up in logs and tracebacks."""
        return f"UpstreamKey(id={self.id}, tenant_id={self.tenant_id})"


Keys = tuple[UpstreamKey, ...]


class Keyring:
    """Belongs to one event loop. What it knows is its own process's: others learn it themselves.

    A key that is replaced starts afresh, since its secret is part of what is remembered.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready_at: dict[UpstreamKey, float] = {}
        self._rejected: set[UpstreamKey] = set()
        self._turns: dict[int, int] = {}

    def pick(self, keys: Keys, tenant_id: int) -> UpstreamKey | None:
        """The next of the keys that this tenant may use; None if none is ready."""
        ready = usable(keys, tenant_id)
        if self._ready_at:
            now = self._clock()
            ready = [key for key in ready if self._ready_at.get(key, 0.0) <= now]
        if len(ready) <= 1:
            return ready[0] if ready else None
        # Each set of keys has its own turns: with one counter for all, calls that alternate
        # between two upstreams would go with the same key of each for ever.
        turn = self._turns.get(ready[0].id, 0)
        self._turns[ready[0].id] = turn + 1
        return ready[turn % len(ready)]

    def cool(self, key: UpstreamKey, seconds: float | None = None) -> None:
        """Leaves `key` out for so long, as the provider asked (None: it told no time)."""
        seconds = COOL_SECONDS_DEFAULT if seconds is None else seconds
        self._rest(key, max(0.0, min(seconds, COOL_SECONDS_MAX)))

    def reject(self, key: UpstreamKey) -> None:
        """Leaves out a key that the provider does not take: revoked, unpaid or not permitted."""
        self._rest(key, REJECTED_SECONDS)
        self._rejected.add(key)

    def rejected(self) -> list[UpstreamKey]:
        """The keys that were refused a short time ago, in order of id, for people to look at."""
        self._forget_rested()
        return sorted(self._rejected, key=lambda key: key.id)

    def seconds_until_ready(self, keys: Keys, tenant_id: int) -> float | None:
        """0 if one is ready. None if no waiting helps: the tenant has no key here."""
        now = self._clock()
        waits = [self._ready_at.get(key, now) - now for key in usable(keys, tenant_id)]
        return max(0.0, min(waits)) if waits else None

    def _rest(self, key: UpstreamKey, seconds: float) -> None:
        self._forget_rested()
        # A late answer to an early call must not wake a key that has to rest for longer.
        self._ready_at[key] = max(self._ready_at.get(key, 0.0), self._clock() + seconds)

    def _forget_rested(self) -> None:
        """Or secrets that were replaced long ago would be kept."""
        now = self._clock()
        self._ready_at = {key: at for key, at in self._ready_at.items() if at > now}
        self._rejected.intersection_update(self._ready_at)


def usable(keys: Keys, tenant_id: int) -> list[UpstreamKey]:
    """The tenant's own, or else the shared ones. Never another tenant's."""
    own = [key for key in keys if key.tenant_id == tenant_id]
    return own or [key for key in keys if key.tenant_id is None]
