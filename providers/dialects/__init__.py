"""Wire formats, one file each. A vendor that speaks one of them is a row, not a file."""

from providers.dialects.anthropic import AnthropicDialect
from providers.dialects.azure import AzureDialect
from providers.dialects.base import Dialect, Target
from providers.dialects.echo import EchoDialect
from providers.dialects.mending import Mended
from providers.dialects.ollama import OllamaDialect
from providers.dialects.openai import OpenAIDialect

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        OpenAIDialect(),
        AnthropicDialect(),
        AzureDialect(),
        OllamaDialect(),
        EchoDialect(),
    )
}


def dialect_of(target: Target) -> Dialect:
    """What its upstream speaks, the answers mended where its vendor departs from it."""
    dialect = DIALECTS[target.dialect]
    return Mended(dialect, target.quirks) if target.quirks.mends_answers else dialect


__all__ = ["DIALECTS", "Dialect", "dialect_of"]
