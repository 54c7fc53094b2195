"""What others publish of models: their facts and their prices, with the source's own words.

A source is a JSON file, or the package genai-prices where it is installed. Nothing of it is
believed: facts are shown before they are applied, and prices become proposals for a person.
"""

from pathlib import Path

from runestone.lib.published import file, package
from runestone.lib.published.base import (
    Facts,
    PublishedModel,
    PublishedPrice,
    Source,
    SourceError,
    pairs,
    vendors,
)

__all__ = [
    "PACKAGE",
    "Facts",
    "PublishedModel",
    "PublishedPrice",
    "Source",
    "SourceError",
    "open_source",
    "pairs",
    "vendors",
]

# This word in the place of a file's path means the installed package.
PACKAGE = "genai-prices"


def open_source(name: str) -> Source:
    """The source at the path `name`, or the package. Raises SourceError if it cannot be read."""
    return package.opened() if name == PACKAGE else file.read(Path(name))
