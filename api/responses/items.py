"""The items of a conversation: messages, calls of tools and what came of them, reasoning."""

from typing import Literal

from msgspec import Struct

# Parts of a message.


class InputText(Struct, tag_field="type", tag="input_text"):
    text: str


class InputImage(Struct, tag_field="type", tag="input_image"):
    image_url: str | None = None
    file_id: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None


class InputFile(Struct, tag_field="type", tag="input_file"):
    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None
    file_url: str | None = None


class OutputText(Struct, tag_field="type", tag="output_text"):
    text: str


class Refusal(Struct, tag_field="type", tag="refusal"):
    refusal: str


InputPart = InputText | InputImage | InputFile
Spoken = InputText | OutputText | Refusal

# Messages, told apart by their role; `type` is optional in the easy form.


class User(Struct, tag_field="role", tag="user"):
    content: str | list[InputPart]


class System(Struct, tag_field="role", tag="system"):
    content: str | list[InputText]


class Developer(Struct, tag_field="role", tag="developer"):
    content: str | list[InputText]


class Assistant(Struct, tag_field="role", tag="assistant"):
    content: str | list[Spoken]


Message = User | System | Developer | Assistant

# The other items, told apart by their type.


class FunctionCall(Struct):
    call_id: str
    name: str
    # A JSON text by convention; models break it, and it passes as it is.
    arguments: str


class CustomCall(Struct):
    call_id: str
    name: str
    input: str


class CallOutput(Struct):
    """What the caller's tool gave, of either kind."""

    call_id: str
    output: str | list[InputPart]


class Reasoning(Struct):
    """Kept in the store; no chat provider takes it back."""


class ItemReference(Struct):
    id: str


Item = (
    User
    | System
    | Developer
    | Assistant
    | FunctionCall
    | CustomCall
    | CallOutput
    | Reasoning
    | ItemReference
)

KINDS: dict[str, object] = {
    "message": Message,
    "function_call": FunctionCall,
    "function_call_output": CallOutput,
    "custom_tool_call": CustomCall,
    "custom_tool_call_output": CallOutput,
    "reasoning": Reasoning,
    "item_reference": ItemReference,
}
