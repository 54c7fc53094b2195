"""The parts of Anthropic's answers that we read: messages, and the events of a stream.

Blocks and deltas of kinds that we do not know are passed over, as Anthropic asks of its clients.
Texts of a stream stay raw: what is a JSON string in their event is the same one in ours.
"""

from typing import Any

from msgspec import Raw, Struct

EMPTY = Raw(b'""')


class CacheCreation(Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputTokensDetails(Struct):
    thinking_tokens: int | None = None


class ServerToolUse(Struct):
    web_search_requests: int | None = None


class UsageFigures(Struct):
    """`input_tokens` leaves out what the cache read or wrote."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputTokensDetails | None = None
    server_tool_use: ServerToolUse | None = None
    service_tier: str | None = None


class StopDetails(Struct):
    explanation: str | None = None


class Ending(Struct):
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class Block(Struct):
    """A block of content, of whatever type; which fields it has depends on that."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class Message(Ending):
    type: str = ""
    id: str = ""
    model: str = ""
    content: list[Block] = []
    usage: UsageFigures | None = None
    error: Any = None


# The events of a stream, told apart by their type.


class MessageStart(Struct, tag_field="type", tag="message_start"):
    message: Message


class BlockStart(Struct, tag_field="type", tag="content_block_start"):
    index: int
    content_block: Block


class Delta(Struct):
    """What a delta adds; all but one are empty."""

    text: Raw = EMPTY
    thinking: Raw = EMPTY
    signature: Raw = EMPTY
    partial_json: Raw = EMPTY


class BlockDelta(Struct, tag_field="type", tag="content_block_delta"):
    index: int
    delta: Delta


class BlockStop(Struct, tag_field="type", tag="content_block_stop"):
    index: int


class MessageDelta(Struct, tag_field="type", tag="message_delta"):
    delta: Ending
    usage: UsageFigures | None = None


class MessageStop(Struct, tag_field="type", tag="message_stop"):
    pass


class Ping(Struct, tag_field="type", tag="ping"):
    pass


class Failure(Struct, tag_field="type", tag="error"):
    error: Any = None


Event = (
    MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | Ping | Failure
)
