"""The refusal of what a provider cannot do, and a caller would miss."""

from runestone.lib.errors import BadRequest


def unsupported(param: str, what: str, instead: str = "") -> BadRequest:
    hint = f": {instead}" if instead else ""
    return BadRequest(
        f"Unsupported parameter: {what} is not supported by this model's provider{hint}.",
        param=param,
        code="unsupported_parameter",
    )
