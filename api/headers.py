"""Headers that every answer under `/v1` carries."""

import time

from api.requests import Call
from runestone.lib.ids import request_name

OPENAI_VERSION = "2020-10-01"


def of_answer(call: Call) -> dict[str, str]:
    named = {
        "x-request-id": request_name(call.request_id),
        "openai-version": OPENAI_VERSION,
        "openai-processing-ms": str(round((time.monotonic() - call.started) * 1000)),
        **call.answer_headers,
        **call.told,
    }
    if call.provider:
        named["x-runestone-provider"] = call.provider
    return named


JSON = {"content-type": "application/json"}

STREAM = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # nginx and its kin would otherwise gather the events.
    "x-accel-buffering": "no",
}
