"""The translations by themselves: no gateway, no I/O."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from api.responses import reading
from api.responses.chat import chat_body
from runestone.lib.errors import BadRequest

ID = UUID(int=1)
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}


def chat_of(**fields: Any) -> dict[str, Any]:
    """The chat request that a request for a response becomes."""
    asked = reading.read(msgspec.json.encode({"model": "m", "input": "Hi", **fields}))
    made: dict[str, Any] = msgspec.json.decode(chat_body(asked, [item for item, _ in asked.items]))
    return made


def messages_of(*items: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = chat_of(input=list(items), **fields)["messages"]
    return made


def test_it_works():
    assert chat_of(instructions="Be brief.") == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
    }


@pytest.mark.parametrize(
    ("fields", "chat"),
    [
        ({"max_output_tokens": 16}, {"max_completion_tokens": 16}),
        ({"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
        ({"top_logprobs": 3}, {"top_logprobs": 3, "logprobs": True}),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
        ({"include": ["reasoning.encrypted_content"]}, {}),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
        ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "text"}}}, {}),
        ({"text": {"format": {"type": "json_object"}}},
         {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema",
                                 "name": "n", "schema": {}, "strict": True}}},
            {"response_format": {"type": "json_schema",
                                 "json_schema": {"name": "n", "schema": {}, "strict": True}}},
        ),
        ({"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "service_tier": "auto"},
         {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "service_tier": "auto"}),
        # Ours to act upon, or to tell again: the provider need not know.
        ({"store": True, "metadata": {"a": "b"}, "truncation": "auto", "max_tool_calls": 3}, {}),
        # Chat's own words of the same meaning, a vendor's and Runestone's.
        ({"seed": 7, "top_k": 5, "provider": "x"}, {"seed": 7, "top_k": 5, "provider": "x"}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        # Providers refuse words about tools where there are none.
        ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, {}),
        ({"temperature": None, "tools": None, "text": None, "reasoning": None, "stream": None},
         {"temperature": None}),
    ],
)  # fmt: skip
def test_parameters(fields: dict[str, Any], chat: dict[str, Any]):
    made = chat_of(**fields)
    del made["model"], made["messages"]
    assert made == chat


@pytest.mark.parametrize(
    ("flat", "nested"),
    [
        (FUNCTION, {"name": "f", "parameters": {"type": "object"}, "strict": True}),
        ({"type": "function", "name": "f", "parameters": None}, {"name": "f"}),
        ({"type": "custom", "name": "c", "description": "d"}, {"name": "c", "description": "d"}),
        (
            {"type": "custom", "name": "c", "format": GRAMMAR},
            {"name": "c", "format": {"type": "grammar", "grammar": {
                "syntax": "lark", "definition": "start: /a/"}}},
        ),
    ],
)  # fmt: skip
def test_tools_are_flat_here_and_nested_there(flat: dict[str, Any], nested: dict[str, Any]):
    made = chat_of(tools=[flat], parallel_tool_calls=False)
    assert made["tools"] == [{"type": flat["type"], flat["type"]: nested}]
    assert made["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "custom", "name": "c"}, {"type": "custom", "custom": {"name": "c"}}),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            {"type": "allowed_tools", "allowed_tools": {
                "mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}},
        ),
    ],
)  # fmt: skip
def test_tool_choice(here: Any, there: Any):
    assert chat_of(tools=[FUNCTION], tool_choice=here)["tool_choice"] == there


# The conversation.


def call(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": name, "name": "f", "arguments": "{}", **fields}


def output(name: str, said: Any = "done") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": name, "output": said}


def says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "output_text", "text": text}]}


def test_parallel_calls_and_what_was_said_before_are_one_message():
    assistant, *tools = messages_of(
        says("Let me see."),
        {"type": "reasoning", "id": "rs_1", "summary": []},
        call("a"), call("b"), output("a"), output("b"),
    )  # fmt: skip

    assert assistant["content"] == "Let me see."
    assert [each["id"] for each in assistant["tool_calls"]] == ["a", "b"]
    assert tools == [
        {"role": "tool", "tool_call_id": "a", "content": "done"},
        {"role": "tool", "tool_call_id": "b", "content": "done"},
    ]


def test_calls_one_after_the_other_are_messages_of_their_own():
    roles = [each["role"] for each in messages_of(call("a"), output("a"), call("b"), output("b"))]
    assert roles == ["assistant", "tool", "assistant", "tool"]


def test_words_between_a_call_and_its_output_do_not_part_them():
    assistant, tool = messages_of(call("a"), says("One moment."), output("a"))
    assert (assistant["content"], len(assistant["tool_calls"])) == ("One moment.", 1)
    assert tool["tool_call_id"] == "a"


def test_two_answers_in_a_row_stay_two():
    assert len(messages_of(says("a"), says("b"))) == 2


def test_custom_tools():
    assistant, tool = messages_of(
        {"type": "custom_tool_call", "call_id": "a", "name": "c", "input": "print(1)"},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "1"},
    )
    assert assistant["tool_calls"] == [
        {"id": "a", "type": "custom", "custom": {"name": "c", "input": "print(1)"}}
    ]
    assert tool == {"role": "tool", "tool_call_id": "a", "content": "1"}


def test_images_and_files():
    [user] = messages_of(
        {"role": "user", "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"},
            {"type": "input_file", "filename": "a.pdf",
             "file_data": "data:application/pdf;base64,"},
        ]}
    )  # fmt: skip
    assert user["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "file",
         "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,"}},
    ]  # fmt: skip


def test_a_tool_may_answer_with_parts():
    picture = {"type": "input_image", "image_url": "data:image/png;base64,"}
    _, tool = messages_of(call("a"), output("a", [picture]))
    assert tool["content"] == [{"type": "image_url", "image_url": {"url": picture["image_url"]}}]


def test_an_earlier_refusal():
    [message] = messages_of(
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    )
    assert message == {"role": "assistant", "content": None, "refusal": "No."}


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([call("a"), call("b"), output("a")], "No tool output found for function call b."),
        ([output("a")], "No tool call found for function call output with call_id a."),
    ],
)
def test_a_call_and_its_output_belong_together(items: list[dict[str, Any]], words: str):
    with pytest.raises(BadRequest) as caught:
        messages_of(*items)
    assert (caught.value.param, caught.value.message) == ("input", words)


def test_a_conversation_that_says_nothing():
    with pytest.raises(BadRequest) as caught:
        messages_of({"type": "reasoning", "id": "rs_1", "summary": []})
    assert caught.value.param == "input"
