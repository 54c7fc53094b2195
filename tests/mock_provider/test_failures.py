import json
import time

import openai
import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.mock_provider import raw


def test_it_works_with_the_right_key_only():
    with MockProvider(api_key="sk-right") as provider:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
        assert raw.call(provider.url, raw.request(body)).status == 401
        wrong = raw.call(provider.url, raw.request(body, authorization="Bearer sk-wrong"))
        assert json.loads(wrong.body)["error"]["code"] == "invalid_api_key"
        right = raw.call(provider.url, raw.request(body, authorization="Bearer sk-right"))
        assert right.status == 200
        assert len(provider.bill()) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_openais_face_and_no_line(ask, provider, attempt, status, error, stream):
    with pytest.raises(error) as caught:
        ask(f"error={status}", stream=stream)
    assert caught.value.status_code == status
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    assert caught.value.request_id.startswith("req_")
    assert provider.bill(attempt) == []


def test_rate_limits_say_when(ask):
    with pytest.raises(openai.RateLimitError) as caught:
        ask("error=429;retry_after=2.5;code=insufficient_quota;type=insufficient_quota")
    assert caught.value.response.headers["retry-after"] == "2"
    assert caught.value.response.headers["retry-after-ms"] == "2500"
    assert caught.value.code == caught.value.type == "insufficient_quota"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"{not json", None, None),
        (b"", None, None),
        ({"messages": [{"role": "user", "content": "hi"}]}, "model", "missing_required_parameter"),
        ({"model": "gpt-4o"}, "messages", "missing_required_parameter"),
        ({"model": "gpt-4o", "messages": "hi"}, "messages", "invalid_type"),
        ({"model": "gpt-4o", "messages": []}, "messages", "invalid_value"),
        ({"model": "m", "messages": [{"role": "user"}], "n": 0}, "n", "invalid_value"),
        (
            {"model": "m", "messages": [{"role": "user", "content": 1}]},
            "messages[0].content",
            "invalid_type",
        ),
    ],
)
def test_malformed_requests(provider, body, param, code):
    reply = raw.call(provider.url, raw.request(body))
    error = json.loads(reply.body)["error"]
    assert reply.status == 400
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"


def test_unknown_urls_and_methods(provider, client):
    assert raw.call(provider.url, raw.request({}, path="/v1/foo")).status == 404
    assert raw.call(provider.url, raw.request({}, path="/v1/models")).status == 405
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody/nothing")
    assert caught.value.code == "model_not_found"


def test_garbage(ask, bytes_of, provider, attempt):
    reply = bytes_of("garbage=502")
    assert reply.status == 502
    assert b"text/html" in reply.head
    assert bytes_of("garbage", stream=True).body.startswith(b"<html>")
    assert bytes_of("empty").body == b""
    assert provider.bill(attempt) == []


def test_a_cut_resets_after_its_chunk(bytes_of, line):
    reply = bytes_of("cut=2", stream=True)
    assert reply.reset
    assert len(reply.chunks()) == 3  # The opening and two words; no end of the body.
    assert reply.chunks()[-1] != b""
    assert line()["completion_tokens"] == 2
    assert not line()["finished"]


def test_a_cut_may_come_before_the_first_word(bytes_of, line):
    assert len(bytes_of("cut=0", stream=True).chunks()) == 1
    assert line()["completion_tokens"] == 0


def test_a_cut_may_close_in_order(bytes_of):
    reply = bytes_of("cut=9;fin", stream=True)
    assert not reply.reset
    assert len(reply.chunks()) == 10
    assert not reply.body.endswith(b"0\r\n\r\n")


def test_a_reset_swallows_nothing_that_was_sent(bytes_of):
    reply = bytes_of("huge=5000000;cut=1", stream=True)
    assert reply.reset
    assert len(reply.chunks()[-1]) > 5_000_000


def test_the_sdk_notices_a_cut(ask):
    with pytest.raises(openai.APIConnectionError):
        list(ask("cut", stream=True))


@pytest.mark.parametrize("scenario", ["cut_json", "cut_json;fin", "cut"])
def test_half_a_json_body(bytes_of, line, scenario):
    reply = bytes_of(scenario)
    promised = int(reply.head.split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(reply.body) == promised // 2
    assert reply.reset == ("fin" not in scenario)
    assert line()["completion_tokens"] >= 4
    assert not line()["finished"]


def test_half_json_in_a_whole_reply(bytes_of, line):
    reply = bytes_of("half_json")
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.body)
    assert line()["finished"]


def test_an_error_in_the_middle_of_a_stream(ask, bytes_of, line):
    reply = bytes_of("midstream_error=2", stream=True)
    assert json.loads(reply.chunks()[-2][6:])["error"]["type"] == "server_error"
    assert reply.chunks()[-1] == b""
    assert line()["completion_tokens"] == 2
    assert not line()["finished"]
    with pytest.raises(openai.APIError, match="The server had an error"):
        list(ask("midstream_error=2", stream=True))


def test_json_for_a_stream(bytes_of, line):
    assert json.loads(bytes_of("json_for_stream", stream=True).body)["usage"]
    assert not line()["streamed"]


def test_drop_sends_nothing(bytes_of, provider, attempt):
    reply = bytes_of("drop")
    assert reply.reset
    assert reply.head == b""
    assert provider.bill(attempt) == []


def test_hang_never_answers(client, provider, attempt):
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(
            model="mock-hang", messages=[{"role": "user", "content": "hi"}]
        )
    provider.wait(lambda calls: any(h["attempt"] == attempt for h in calls["hang_ups"]))
    assert provider.bill(attempt) == []


def test_the_provider_lives_on_after_everything(ask, provider):
    time.sleep(0.05)
    assert ask().usage
    calls = provider.calls()
    assert calls["in_flight"] == 0
    assert calls["started"] == calls["finished"] + calls["cut"] + calls["broken"]
