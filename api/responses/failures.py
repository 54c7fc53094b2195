"""Errors of a chat completion in the words of the Responses API."""

from runestone.lib.errors import BadRequest, GatewayError, NotFound

# What the caller called it, whose name in chat an error gives.
_NAMES = {
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "response_format": "text.format",
    "messages": "input",
}


def in_our_words(error: GatewayError, model: str | None) -> GatewayError:
    # OpenAI's two APIs differ here: chat has a 404 without a param.
    if isinstance(error, NotFound) and error.code == "model_not_found" and model is not None:
        return BadRequest(
            f"The requested model '{model}' does not exist.", param="model", code=error.code
        )
    if error.param is not None:
        head = error.param.partition(".")[0].partition("[")[0]
        error.param = _NAMES.get(head, error.param)
    return error
