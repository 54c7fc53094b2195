"""Chat answers as responses, whole and in pieces, beside what OpenAI itself sends.

The recordings of OpenAI's responses come from pydantic-ai's tests (MIT); the chat stream tells the
same answer in chat's words.
"""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from openai.types.responses import ResponseStreamEvent

from api.responses import chunks, reading
from api.responses import output as outputs
from api.responses.answer import Answer
from api.responses.conversation import item_id
from api.responses.output import Output
from api.responses.relay import Relay
from runestone.lib.errors import UpstreamBroken

EVENTS: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(ResponseStreamEvent)
RECORDINGS = Path(__file__).parent / "recordings"
ID = UUID(int=1)
MULTIPLY = {"type": "function", "name": "multiply", "description": "Multiply two numbers.",
            "parameters": {"type": "object"}}  # fmt: skip
# The random padding, and what only OpenAI's own models know.
NOT_OURS = {"obfuscation", "frequency_penalty", "presence_penalty", "moderation",
            "prompt_cache_retention"}  # fmt: skip


def relay_for(**fields: Any) -> Relay:
    asked = reading.read(msgspec.json.encode({"model": "m", "input": "x", **fields}))
    return Relay(Answer(asked, ID), new_output(), pads=asked.request.is_padded)


def new_output() -> Output:
    return Output(lambda prefix, index: item_id(prefix, ID, index))


def relayed(data: bytes, **fields: Any) -> list[dict[str, Any]]:
    relay = relay_for(**fields)
    events = [*relay.feed(data), *relay.close(), relay.end(relay.finished())]
    return parsed(b"".join(events).decode())


def parsed(text: str) -> list[dict[str, Any]]:
    blocks = text.strip().split("\n\n")
    return [json.loads(block.split("\ndata: ")[1]) for block in blocks]


def stream(*deltas: dict[str, Any], end: str = "stop") -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": end})
    return b"".join(
        b"data: " + json.dumps({"model": "m-1", "choices": [choice]}).encode() + b"\n\n"
        for choice in choices
    )


def test_a_recorded_stream_of_a_tool_call():
    recorded = parsed((RECORDINGS / "response_stream_tools.sse").read_text())
    chat = (RECORDINGS / "chat_stream_tools.sse").read_bytes()
    ours = relayed(chat, tools=[MULTIPLY], store=False, stream=True)

    assert [event["type"] for event in ours] == [event["type"] for event in recorded]
    for one, other in zip(ours, recorded, strict=True):
        assert set(other) - set(one) <= NOT_OURS
        for name in ("delta", "arguments", "output_index", "sequence_number"):
            assert one.get(name) == other.get(name)
    one, other = ours[-1]["response"], recorded[-1]["response"]
    assert set(other) - set(one) <= NOT_OURS
    assert one["model"] == other["model"]
    assert without_ids(one["output"]) == without_ids(other["output"])
    assert one["usage"]["total_tokens"] == other["usage"]["total_tokens"]


def test_a_recorded_whole_response():
    recorded = json.loads((RECORDINGS / "response.json").read_text())
    reasoning, message = recorded["output"]
    chat = {
        "model": recorded["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": {
            "content": message["content"][0]["text"], "reasoning_content": "Hm."}}],
    }  # fmt: skip
    asked = reading.read(msgspec.json.encode({"model": "gpt-5", "input": "x"}))
    answer, output = Answer(asked, ID), new_output()
    said = chunks.decoded(json.dumps(chat).encode())
    assert said.choices is not None
    assert said.choices[0].message is not None
    answer.observe(said)
    list(output.add(said.choices[0].message))
    list(output.close())
    made = answer.finished(output.items)

    assert set(recorded) - set(made) <= NOT_OURS
    assert without_ids(made["output"])[1] == without_ids([message])[0]
    assert set(made["output"][0]) - {"content"} == set(reasoning) - {"encrypted_content"}


def without_ids(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in item.items() if name != "id"} for item in items]


def test_the_stream_may_be_cut_anywhere():
    chat = (RECORDINGS / "chat_stream_tools.sse").read_bytes()
    unpadded = {"stream_options": {"include_obfuscation": False}}
    relay = relay_for(**unpadded)
    events = [event for n in range(len(chat)) for event in relay.feed(chat[n : n + 1])]
    events += relay.close()
    assert parsed(b"".join(events).decode()) == relayed(chat, **unpadded)[:-1]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_comes_first_as_an_item_of_its_own(name: str):
    events = relayed(stream({name: "Hm, "}, {name: "well."}, {"content": "Yes."}))

    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.delta",
        "reasoning_text.done", "content_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    reasoning, message = events[-1]["response"]["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "Hm, well."}]
    assert reasoning["summary"] == []
    assert message["content"][0]["text"] == "Yes."
    assert reasoning["id"] != message["id"]


def test_content_in_parts_as_mistral_sends_it():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    events = relayed(
        stream({"content": [thinking]}, {"content": [{"type": "text", "text": "Yes"}]})
    )
    reasoning, message = events[-1]["response"]["output"]
    assert reasoning["content"][0]["text"] == "Hm."
    assert message["content"][0]["text"] == "Yes"


def test_text_then_tools():
    def fragment(index: int, arguments: str, **first: Any) -> dict[str, Any]:
        function = {"arguments": arguments, **({"name": first["name"]} if first else {})}
        ids = {"id": first["id"]} if first else {}
        return {"tool_calls": [{"index": index, **ids, "function": function}]}

    events = relayed(
        stream(
            {"content": "Let me see."},
            fragment(0, "", id="a", name="f"), fragment(0, "{"), fragment(0, "}"),
            fragment(1, "[", id="b", name="g"), fragment(1, "]"),
            end="tool_calls",
        )
    )  # fmt: skip
    message, one, two = events[-1]["response"]["output"]
    assert message["status"] == one["status"] == two["status"] == "completed"
    assert (one["name"], one["call_id"], one["arguments"]) == ("f", "a", "{}")
    assert (two["name"], two["call_id"], two["arguments"]) == ("g", "b", "[]")
    order = [event["output_index"] for event in events if "output_index" in event]
    assert order == sorted(order), "an item ends before the next begins"


def test_custom_tools():
    def fragment(text: str, **more: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": 0, "custom": {"input": text}} | more]}

    first = {"tool_calls": [{"index": 0, "id": "a", "type": "custom",
                             "custom": {"name": "run", "input": ""}}]}  # fmt: skip
    events = relayed(stream(first, fragment("print"), fragment("(1)"), end="tool_calls"))

    [done] = [each for each in events if each["type"] == "response.custom_tool_call_input.done"]
    assert done["input"] == "print(1)"
    [item] = events[-1]["response"]["output"]
    assert (item["type"], item["name"], item["call_id"]) == ("custom_tool_call", "run", "a")


def test_whole_calls_without_an_index_or_an_id():
    both = [{"function": {"name": "f", "arguments": {"a": 1}}},
            {"id": "x", "function": {"name": "g", "arguments": "{}"}}]  # fmt: skip
    one, two = relayed(stream({"tool_calls": both[:1]}, {"tool_calls": both[1:]}))[-1]["response"][
        "output"
    ]
    assert one["call_id"].startswith("call_")
    assert (one["arguments"], two["arguments"], two["call_id"]) == ('{"a":1}', "{}", "x")


def test_mixed_fragments_are_a_failure():
    def fragment(index: int, **more: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, "function": {"arguments": "{"}} | more]}

    relay = relay_for()
    with pytest.raises(UpstreamBroken):
        list(relay.feed(stream(fragment(0, id="a"), fragment(1, id="b"), fragment(0))))


def test_citations_and_chances():
    citation = {"start_index": 0, "end_index": 3, "url": "https://example.org", "title": "E"}
    logprob = {"token": "Yes", "logprob": -0.1, "bytes": [1], "top_logprobs": []}
    delta = {
        "content": "Yes",
        "annotations": [{"type": "url_citation", "url_citation": citation}],
    }
    chunk = {"choices": [{"index": 0, "logprobs": {"content": [logprob]}, "delta": delta}]}
    events = relayed(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    [told] = [each for each in events if each["type"] == "response.output_text.delta"]
    assert told["logprobs"] == [logprob]
    [part] = events[-1]["response"]["output"][0]["content"]
    assert part["annotations"] == [{"type": "url_citation", **citation}]
    assert part["logprobs"] == [logprob]
    assert "response.output_text.annotation.added" in {event["type"] for event in events}


def test_an_endless_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outputs, "CHARACTERS_MAX", 10)
    relay = relay_for()
    assert list(relay.feed(stream({"content": "x" * 10})))
    with pytest.raises(UpstreamBroken):
        list(relay.feed(stream({"content": "x"})))


@pytest.mark.parametrize("logprobs", [None, 5, [], {"tokens": ["a"]}, {"content": None}])
def test_odd_shapes_do_not_lose_the_answer(logprobs: Any):
    delta = {"content": "x", "reasoning": {"summary": "odd"}, "reasoning_content": None}
    chunk = {"choices": [{"index": 0, "logprobs": logprobs, "delta": delta}]}
    events = relayed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "x"


def test_every_event_fits_the_sdks_types():
    custom = {"index": 1, "id": "b", "custom": {"name": "g", "input": "1"}}
    deltas = (
        {"reasoning": "Hm."}, {"content": "Yes."}, {"refusal": "No."},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]},
        {"tool_calls": [custom]},
    )  # fmt: skip
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    tools = [MULTIPLY, {"type": "custom", "name": "g"}]
    for choice in ("auto", {"type": "function", "name": "multiply"}):
        asked = {"text": {"format": form}, "tools": tools, "tool_choice": choice}
        for end in ("stop", "length"):
            events = relayed(stream(*deltas, end=end), **asked)
            assert len(events) > len(deltas)
            for event in events:
                EVENTS.validate_python(event)


def test_failures_fit_the_sdks_types():
    relay = relay_for()
    list(relay.feed(stream({"content": "x"})))
    events = parsed(b"".join(relay.fail(UpstreamBroken("Oops."))).decode())
    assert {"response.failed", "error"} <= {event["type"] for event in events}
    for event in events:
        EVENTS.validate_python(event)


def test_an_answer_without_a_word():
    events = relayed(stream(end="length"))
    assert [event["type"] for event in events][-1] == "response.incomplete"
    assert events[-1]["response"]["output"] == []


def test_no_usage_is_none():
    assert relayed(stream({"content": "x"}))[-1]["response"]["usage"] is None
