"""A request as it comes: its bytes, bounded, and what they say, checked as OpenAI checks it.

Decoding stops at the first fault in document order and names its place in OpenAI's way:
`messages[0].content`.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from api.compression import Unpacker
from providers.wire import ChatRequest, ModelCall, Operation
from runestone.lib.errors import BadRequest, BodyTooLarge, UnsupportedMediaType
from runestone.lib.ids import uuid7

# How long a caller may take to send its body.
BODY_SECONDS_MAX = 60
# Of a body that is too large so much more is read and dropped, that the caller gets to hear why:
# most clients look for an answer only when they have sent everything.
DROPPED_BYTES_MAX = 64 * 1024 * 1024

INFERENCE, MODELS, USAGE = "inference", "models", "usage"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientLeft(Exception):
    """The caller hung up before its request was complete. Nobody is there to answer."""


class Call:
    """One request to a `/v1` endpoint, on its way through the pipeline."""

    __slots__ = (
        "address", "answer_headers", "body", "headers", "must_stream", "native", "provider",
        "request_id", "routing_policy", "scope_needed", "started", "told",
    )  # fmt: skip

    def __init__(self, headers: Mapping[str, str], body: bytes) -> None:
        self.request_id: UUID = uuid7()
        self.started = time.monotonic()
        self.headers = headers
        self.body = body
        # The caller's IP address; empty where there is none.
        self.address = ""
        # The one of a key's scopes that this call needs.
        self.scope_needed = INFERENCE
        # What the answer must carry besides, whatever it is: CORS and HSTS.
        self.answer_headers: Mapping[str, str] = {}
        # What else its headers tell, once that is known.
        self.told: dict[str, str] = {}
        # Whether the endpoint streams whatever the body says.
        self.must_stream = False
        # The upstream that serves it, once it is chosen, and the rule by which it was.
        self.provider = ""
        self.routing_policy = ""
        # What it stands for in another wire's words, where it is a translation.
        self.native: dict[str, msgspec.Raw] | None = None

    def decoded(self, operation: Operation) -> ModelCall:
        """The body as a request for `operation`. Raises BadRequest."""
        self.require_json()
        asked = decode(operation, self.body, must_stream=self.must_stream)
        return asked if self.native is None else asked.in_its_own_words(self.native)

    def require_json(self) -> None:
        """Raises UnsupportedMediaType if the headers do not say that the body is JSON."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType(
                "The request's body must be JSON, with the header Content-Type: application/json."
            )

    def translated(self, body: bytes, native: dict[str, msgspec.Raw] | None = None) -> "Call":
        """The same call in other words: as the chat request that another endpoint's stands for.

        `native` are its own words, checked, for a provider that speaks them.
        """
        twin = Call({**self.headers, "content-type": "application/json"}, body)
        twin.native = native
        twin.request_id, twin.started = self.request_id, self.started
        twin.address, twin.scope_needed = self.address, self.scope_needed
        twin.told = self.told
        return twin

    def wants_stream(self) -> bool:
        """Whether to answer with events. A body that cannot be read is answered with JSON."""
        try:
            return self.must_stream or bool(_stream_flag.decode(self.body).stream)
        except (msgspec.DecodeError, RecursionError):
            return False


def headers_of(scope: Scope) -> dict[str, str]:
    """A request's headers by lower-case name."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def read_body(receive: Receive, bytes_max: int, unpacker: Unpacker | None = None) -> bytes:
    """The whole body, unpacked. Raises BodyTooLarge, ClientLeft, or BadRequest if it is too slow.

    `bytes_max` bounds what is unpacked: of a bomb no more than that is ever made.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeft
                piece = message.get("body", b"")
                if unpacker is not None and size <= bytes_max:
                    piece = unpacker.feed(piece, bytes_max - size)
                size += len(piece)
                if size <= bytes_max:
                    pieces.append(piece)
                else:
                    pieces.clear()
                is_last = not message.get("more_body")
                if size > bytes_max and (is_last or size > bytes_max + DROPPED_BYTES_MAX):
                    raise BodyTooLarge(f"The request's body is larger than {bytes_max} bytes.")
                if is_last:
                    if unpacker is not None:
                        unpacker.finish()
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except TimeoutError:
        raise BadRequest(f"The body did not arrive within {BODY_SECONDS_MAX} s.") from None


class _StreamFlag(msgspec.Struct):
    stream: bool | None = None


_stream_flag = msgspec.json.Decoder(_StreamFlag)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TRUE = msgspec.Raw(b"true")


def decode(operation: Operation, body: bytes, *, must_stream: bool = False) -> ModelCall:
    try:
        request, fields = operation.decoder.decode(body), _fields.decode(body)
    except msgspec.ValidationError as error:
        raise explained(str(error), body) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise unparsable() from None
    if must_stream and isinstance(request, ChatRequest):
        request.stream, fields["stream"] = True, _TRUE
    return ModelCall(operation, request, fields, len(body))


def unparsable() -> BadRequest:
    return BadRequest(
        "We could not parse the JSON body of your request. (HINT: This likely means you "
        "aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but "
        "what was sent was not valid JSON.)"
    )


class _Rule(NamedTuple):
    """How one of msgspec's complaints is told in OpenAI's words."""

    pattern: re.Pattern[str]
    code: str
    message: str


# {path}, {got} (the value as JSON) and the pattern's own groups may stand in a message.
_RULES = tuple(
    _Rule(re.compile(pattern), code, message)
    for pattern, code, message in (
        (
            r"Object missing required field `(?P<field>[^`]+)`",
            "missing_required_parameter",
            "Missing required parameter: '{path}'.",
        ),
        (
            r"Expected `float` >= (?P<bound>\S+)",
            "decimal_below_min_value",
            "Invalid '{path}': decimal below minimum value. "
            "Expected a value >= {bound}, but got {got} instead.",
        ),
        (
            r"Expected `float` <= (?P<bound>\S+)",
            "decimal_above_max_value",
            "Invalid '{path}': decimal above maximum value. "
            "Expected a value <= {bound}, but got {got} instead.",
        ),
        (
            r"Expected `int` >= (?P<bound>\S+)",
            "integer_below_min_value",
            "Invalid '{path}': integer below minimum value. "
            "Expected a value >= {bound}, but got {got} instead.",
        ),
        (
            r"Expected `int` <= (?P<bound>\S+)",
            "integer_above_max_value",
            "Invalid '{path}': integer above maximum value. "
            "Expected a value <= {bound}, but got {got} instead.",
        ),
        (
            r"Expected `array` of length >= 1",
            "empty_array",
            "Invalid '{path}': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead.",
        ),
        (
            r"Expected `array` of length <= (?P<bound>\d+)",
            "array_above_max_length",
            "Invalid '{path}': array too long. Expected an array with maximum length {bound}.",
        ),
        (
            r"Expected `str` of length <= (?P<bound>\d+)",
            "string_above_max_length",
            "Invalid '{path}': string too long. Expected a string with maximum length {bound}.",
        ),
        (
            r"Expected `str` of length >= (?P<bound>\d+)",
            "string_below_min_length",
            "Invalid '{path}': string too short. Expected a string with minimum length {bound}.",
        ),
        (
            r"Expected `str` matching regex '(?P<bound>[^']+)'",
            "invalid_value",
            "Invalid '{path}': string does not match pattern. "
            "Expected a string that matches the pattern '{bound}'.",
        ),
        (
            r"Expected `object` of length <= (?P<bound>\d+)",
            "object_above_max_properties",
            "Invalid '{path}': too many properties. Expected an object with at most {bound}.",
        ),
        (
            r"Invalid decimal string",
            "invalid_type",
            "Invalid type for '{path}': expected a decimal, but got {got} instead.",
        ),
        (r"Invalid (?:enum )?value", "invalid_value", "Invalid value: {got} in '{path}'."),
        (
            r"Expected `(?P<expected>[^`]+)`, got `(?P<found>[^`]+)`",
            "invalid_type",
            "Invalid type for '{path}': expected {expected}, but got {found} instead.",
        ),
    )
)
_PATH = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_GOT_CHARACTERS_MAX = 200
# A tagged union names its tag's place; msgspec says `$.messages[0].role`, as OpenAI does.
_WORDS = {"str": "a string", "int": "an integer", "float": "a decimal", "bool": "a boolean",
          "array": "an array", "object": "an object", "null": "null"}  # fmt: skip


def explained(complaint: str, body: bytes) -> BadRequest:
    """One of msgspec's complaints about `body`, in OpenAI's words and with OpenAI's `param`."""
    place = _PATH.search(complaint)
    # Of a map msgspec does not tell the key: `metadata[...]`.
    path = place["path"].removeprefix(".").partition("[...]")[0] if place else ""
    for rule in _RULES:
        if (found := rule.pattern.match(complaint)) is None:
            continue
        words = found.groupdict()
        if "field" in words:
            path = f"{path}.{words['field']}" if path else words["field"]
        for name in ("expected", "found"):
            if name in words:
                words[name] = _in_words(words[name])
        message = rule.message.format(path=path, got=_value_at(body, path), **words)
        return BadRequest(message, param=path or None, code=rule.code)
    return BadRequest(f"Invalid request: {complaint}", param=path or None, code="invalid_value")


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(name.strip(), name.strip()) for name in types.split("|"))


def _value_at(body: bytes, path: str) -> str:
    """The offending value as JSON, shortened. Only errors pay for this second look."""
    try:
        value = msgspec.json.decode(body)
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            value = value[int(index)] if index else value[name]
    except (LookupError, TypeError, ValueError, RecursionError):
        return "nothing"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _GOT_CHARACTERS_MAX else text[:_GOT_CHARACTERS_MAX] + "…"
