"""Tables for the terminal, which are Markdown as well."""

from collections.abc import Sequence


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need; the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [_line(heads, widths), _rule(widths), *(_line(row, widths) for row in rows)]
    return "\n".join(["", f"## {title}", "", *lines])


def number(value: float) -> str:
    """As many digits as can mean something."""
    if value != value:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percent(fraction: float) -> str:
    return f"{fraction * 100:.0f} %"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if place == 0 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join([first, *others]) + " |"


def _rule(widths: Sequence[int]) -> str:
    first, *others = ("-" * width for width in widths)
    return "| " + " | ".join([first, *(f"{other[:-1]}:" for other in others)]) + " |"
