"""Wire formats, one file each. A vendor that speaks one of them is a row, not a file."""

from providers.dialects.base import Dialect
from providers.dialects.echo import EchoDialect
from providers.dialects.openai import OpenAIDialect

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect for dialect in (OpenAIDialect(), EchoDialect())
}

__all__ = ["DIALECTS", "Dialect"]
