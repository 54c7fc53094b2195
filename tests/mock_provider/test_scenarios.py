import json
import time

import openai
import pytest

from runestone.local.mock_provider import scenarios
from runestone.local.mock_provider.process import MockProvider
from runestone.local.mock_provider.scenarios import NORMAL, UnknownScenarioError, parse, split_model

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            },
        },
    }
    for name in ("get_weather", "get_traffic")
]


def test_it_parses():
    read = parse(" delay=2; words=50 ;gap=0.02;tools")
    assert (read.delay, read.chunks, read.gap, read.tools) == (2, 50, 0.02, 1)
    assert parse("") == parse("normal") == NORMAL


@pytest.mark.parametrize("text", ["nonsense", "delay=x", "delay=-1", "error=200", "odds=2"])
def test_slips_are_refused(text):
    with pytest.raises(UnknownScenarioError):
        parse(text)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("gpt-4o", ("gpt-4o", "")),
        ("gpt-4o:slow", ("gpt-4o", "slow")),
        ("mock-delay=1;chunks=2", ("mock", "delay=1;chunks=2")),
        ("mock-model", ("mock-model", "")),
        ("meta-llama/Llama-3:free", ("meta-llama/Llama-3:free", "")),
        ("ft:gpt-4o:acme::1:cut=2", ("ft:gpt-4o:acme::1", "cut=2")),
        ("gpt-4o:drop|cut=2", ("gpt-4o", "drop|cut=2")),
    ],
)
def test_models_name_scenarios(name, parts):
    assert split_model(name) == parts


def test_every_word_is_documented():
    from runestone.local import mock_provider

    words = scenarios.WORDS - {"code", "type", "message", "retry_after", "words"}
    lines = mock_provider.__doc__.splitlines()
    told = {line.split()[0].split("=")[0].strip(",") for line in lines if line.strip()}
    assert words - told == set()


def test_an_unknown_word_in_the_header_is_refused(ask):
    with pytest.raises(openai.BadRequestError, match="nonsense"):
        ask("nonsense")


def test_the_model_name_chooses(ask, line):
    reply = ask(model="gpt-4o-mini:chunks=3;reasoning=2")
    assert reply.usage.completion_tokens == 5
    assert line()["model"] == "gpt-4o-mini:chunks=3;reasoning=2"
    # Priced as the model that it is.
    assert line()["amount_pico"] == 4 * 150_000 + 5 * 600_000


def test_the_header_outranks_the_model(ask):
    assert ask("chunks=2", model="gpt-4o-mini:chunks=3").usage.completion_tokens == 2


def test_the_process_has_a_default():
    with (
        MockProvider(scenario="chunks=7") as provider,
        openai.OpenAI(base_url=provider.url, api_key="any") as client,
    ):
        messages = [{"role": "user", "content": "hi"}]
        reply = client.chat.completions.create(model="gpt-4o", messages=messages)
        assert reply.usage.completion_tokens == 7


def test_the_mirror_says_the_request_and_bills_it_as_it_was(ask, line):
    said = json.loads(ask("mirror", seed=7).choices[0].message.content)
    assert (said["seed"], said["messages"][0]["content"]) == (7, "The quick brown fox")
    assert line()["prompt_tokens"] == 4


def test_delay_comes_after_the_headers_of_a_stream(ask):
    began = time.monotonic()
    stream = ask("delay=0.3", stream=True)
    assert time.monotonic() - began < 0.25
    next(iter(stream))
    assert time.monotonic() - began >= 0.3
    stream.close()


def test_slow_headers_come_late(ask):
    began = time.monotonic()
    ask("slow_headers=0.3", stream=True).close()
    assert time.monotonic() - began >= 0.3


def test_gaps_add_up(ask):
    began = time.monotonic()
    list(ask("chunks=11;gap=0.02", stream=True))
    assert 0.2 <= time.monotonic() - began < 1


def test_tools_are_called_when_the_scenario_asks(ask, line):
    choice = ask("tools", tools=TOOLS).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (called,) = choice.message.tool_calls
    assert called.function.name == "get_weather"
    assert called.function.arguments == '{"city":"mock","days":1}'
    assert line()["completion_tokens"] > 1


def test_parallel_tools_stream_in_fragments(ask, line):
    calls = {}
    chunks = list(ask("tools=2", tools=TOOLS, stream=True))
    assert chunks[0].choices[0].delta.content is None
    for fragment in (f for c in chunks for f in c.choices[0].delta.tool_calls or ()):
        name, arguments = calls.get(fragment.index, ("", ""))
        arguments += fragment.function.arguments
        calls[fragment.index] = (name or fragment.function.name, arguments)
    assert calls == {
        0: ("get_weather", '{"city":"mock","days":1}'),
        1: ("get_traffic", '{"city":"mock","days":1}'),
    }
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    # One token per chunk, but for the opening and the finish.
    assert line()["completion_tokens"] == len(chunks) - 2


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("required", "get_weather"),
        ({"type": "function", "function": {"name": "get_traffic"}}, "get_traffic"),
    ],
)
def test_tools_are_called_when_tool_choice_forces(ask, choice, name):
    reply = ask(tools=TOOLS, tool_choice=choice)
    assert reply.choices[0].message.tool_calls[0].function.name == name


def test_tools_are_not_called_uninvited(ask):
    assert ask(tools=TOOLS).choices[0].message.tool_calls is None
    assert ask("tools").choices[0].message.tool_calls is None


def test_a_tools_result_ends_the_round(client):
    messages = [
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    reply = client.chat.completions.create(model="mock-tools", messages=messages, tools=TOOLS)
    assert reply.choices[0].message.content == "weather?"


def test_refusal(ask):
    message = ask("refusal").choices[0].message
    assert message.content is None
    assert message.refusal.startswith("I'm very sorry")
    chunks = [c.choices[0].delta for c in ask("refusal", stream=True)]
    assert "".join(d.refusal for d in chunks if d.refusal) == message.refusal


def test_length_and_finish(ask):
    assert ask("length").choices[0].finish_reason == "length"
    assert ask("length").usage.completion_tokens == 2
    assert ask("finish=content_filter").choices[0].finish_reason == "content_filter"


def test_overrun_pays_no_heed(ask):
    assert ask("overrun;chunks=9", max_tokens=2).usage.completion_tokens == 9


def test_reasoning_and_cache_are_reported_and_billed(ask, line):
    usage = ask("reasoning=5;cached=3").usage
    assert usage.completion_tokens_details.reasoning_tokens == 5
    assert usage.completion_tokens == 9
    assert usage.prompt_tokens_details.cached_tokens == 3
    assert line()["amount_pico"] == 1 * 150_000 + 3 * 75_000 + 9 * 600_000


def test_cached_alone_means_all_of_it(ask):
    assert ask("cached").usage.prompt_tokens_details.cached_tokens == 4


def test_reasoning_spends_the_limit_first(ask):
    reply = ask("reasoning=8", max_completion_tokens=5)
    assert reply.choices[0].message.content == ""
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 5


def test_first_holds_for_the_first_calls(ask, attempt):
    scenario = f"error=503;first=2;key={attempt}"
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            ask(scenario)
    assert ask(scenario).usage


def test_alternatives_are_drawn_by_the_seed():
    def said(seed: int) -> list[int]:
        with (
            MockProvider(scenario="words=1|words=2|words=2", seed=seed) as provider,
            openai.OpenAI(base_url=provider.url, api_key="any") as client,
        ):
            messages = [{"role": "user", "content": "hi"}]
            answers = [
                client.chat.completions.create(model="gpt-4o", messages=messages) for _ in range(60)
            ]
        return [answer.usage.completion_tokens for answer in answers]

    drawn = said(7)
    assert 30 <= drawn.count(2) < 60
    assert said(7) == drawn != said(8)


def test_odds_hit_a_fraction(ask):
    def fails():
        try:
            ask("error=500;odds=0.5")
        except openai.InternalServerError:
            return True
        return False

    assert 5 < sum(fails() for _ in range(40)) < 35
