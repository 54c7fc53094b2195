"""POST /v1/embeddings: vectors that depend on nothing but the text."""

from __future__ import annotations

from array import array
from base64 import b64encode
from functools import lru_cache
from random import Random

import msgspec

from runestone.local.mock_provider import requests
from runestone.local.mock_provider.bill import Line
from runestone.local.mock_provider.chat import fail_before_work
from runestone.local.mock_provider.exchange import Exchange
from runestone.local.mock_provider.provider import Provider
from runestone.local.mock_provider.requests import EmbeddingsRequest, Text, texts, tokens

DIMENSIONS = {"text-embedding-3-large": 3072}
DIMENSIONS_OTHERWISE = 1536

VECTOR = b'{"object":"embedding","index":%d,"embedding":%s}'
REPLY = b'{"object":"list","data":[%s],"model":%s,"usage":{"prompt_tokens":%d,"total_tokens":%d}}'


async def embeddings(exchange: Exchange, provider: Provider) -> None:
    """Read, fail if so asked, else bill and answer."""
    request = requests.embeddings(await exchange.body())
    scenario = provider.scenario(exchange, request.model)
    if await fail_before_work(exchange, scenario, request.model):
        return
    await exchange.pause(scenario.slow_headers + scenario.delay)
    inputs = texts(request.input)
    line = charged(exchange, provider, request.model, sum(map(tokens, inputs)) or 1)
    await exchange.json(_reply(request, inputs, line.prompt_tokens))


def charged(exchange: Exchange, provider: Provider, model: str, prompt: int) -> Line:
    """The call's line, on the bill."""
    attempt = exchange.header(b"x-runestone-attempt-id")
    line = Line(attempt, exchange.request_id, model, prompt, finished=True)
    provider.charge(line)
    return line


def _reply(request: EmbeddingsRequest, inputs: list[Text], prompt: int) -> bytes:
    size = dimensions(request.model, request.dimensions)
    base64 = request.encoding_format == "base64"
    vectors = (vector(str(text), size, base64) for text in inputs)
    data = b",".join(VECTOR % pair for pair in enumerate(vectors))
    return REPLY % (data, msgspec.json.encode(request.model), prompt, prompt)


def dimensions(model: str, asked: int | None) -> int:
    """The length of a vector."""
    return asked or DIMENSIONS.get(model, DIMENSIONS_OTHERWISE)


@lru_cache(maxsize=256)
def vector(text: str, size: int, base64: bool) -> bytes:
    """A unit vector as JSON; base64 is of little-endian float32, as OpenAI's."""
    draw = Random(text)  # noqa: S311 - it has to repeat, not to be secret
    raw = [draw.uniform(-1, 1) for _ in range(size)]
    length = sum(value * value for value in raw) ** 0.5
    floats = array("f", [value / length for value in raw])
    if base64:
        return b'"%s"' % b64encode(floats.tobytes())
    return msgspec.json.encode(floats.tolist())
