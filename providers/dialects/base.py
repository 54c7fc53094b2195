"""The contract of a dialect: translate, without I/O.

A dialect turns a call to a model into an upstream's request, and the upstream's answer, stream or
error into OpenAI's. It opens no connection and keeps no state but what one stream needs; so each
dialect is tested with recordings alone. `providers/client.py` does the I/O.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from msgspec import Struct

from providers.dialects.quirks import Quirks
from providers.keyring import UpstreamKey
from providers.wire import ModelCall, Operation
from runestone.lib.errors import UpstreamError
from runestone.lib.usage import Usage


class Target(Struct, frozen=True, kw_only=True):
    """One way to serve a call: a route, with what is needed to go it."""

    upstream: str
    dialect: str
    base_url: str
    quirks: Quirks
    model: str
    upstream_model: str
    priority: int
    weight: int
    # Calls at once, of each gateway process.
    calls_max: int | None = None
    # The secret of the present attempt.
    credential: str | None = None
    # All that the upstream has, of every tenant; providers/keyring.py picks. Empty: it needs none.
    keys: tuple[UpstreamKey, ...] = ()

    def serves(self, tenant_id: int) -> bool:
        """Whether there is a way for this tenant: without a key, with a shared or an own one."""
        return not self.keys or any(key.tenant_id in (None, tenant_id) for key in self.keys)


class UpstreamRequest(NamedTuple):
    url: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """A whole answer, in OpenAI's shape unless the call is native and so is the upstream.

    `usage` is None when the upstream gave none.
    """

    body: bytes
    usage: Usage | None


class Relayed(NamedTuple):
    """What a piece of an upstream's stream became.

    `data` are whole server-sent events, ready to send; `pieces` and `text_bytes` measure the
    output in them, for the case that the stream ends without usage. `failure` comes after `data`;
    with `done` the answer is complete.
    """

    data: bytes
    usage: Usage | None
    pieces: int
    text_bytes: int
    done: bool
    failure: UpstreamError | None


class StreamRelay(Protocol):
    """Translates one stream, piece by piece."""

    def feed(self, data: bytes) -> Relayed:
        """Translates what arrived. Does not raise: what came before a failure is owed as well."""
        ...

    def finish(self) -> bytes:
        """What is owed at the end of a stream that never was `done`. Raises if it was cut off."""
        ...


class Dialect(Protocol):
    """Constants of the class are read-only here, so that `Mended` may take another's."""

    @property
    def name(self) -> str: ...

    @property
    def operations(self) -> frozenset[Operation]:
        """What it can carry; routing leaves its upstreams out for anything else."""
        ...

    @property
    def stream_type(self) -> str:
        """The content type of a stream."""
        ...

    @property
    def request_id_header(self) -> str:
        """Where the upstream tells its own name for the request, in lower case."""
        ...

    @property
    def names_output_cap(self) -> bool:
        """Whether each of its requests names a cap on the answer, and so is told one."""
        ...

    def request(
        self, call: ModelCall, target: Target, *, output_tokens_max: int | None
    ) -> UpstreamRequest:
        """`output_tokens_max` is a cap to impose where the caller set none.

        A dialect that `names_output_cap` is given the most that money is held for, whatever the
        caller set, and asks for no more.
        """
        ...

    def answer(self, call: ModelCall, body: bytes) -> Answer:
        """Raises UpstreamBroken if `body`, of a 200, is not an answer."""
        ...

    def relay(self, call: ModelCall) -> StreamRelay: ...

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """An upstream's refusal, as our caller should see it."""
        ...
