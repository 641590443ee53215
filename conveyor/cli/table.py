"""Tables whose lines are never folded: what stands in them, such as a URL, can be copied whole."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

GAP = "  "


def print_table(console: Console, headings: Sequence[str], rows: Sequence[Sequence[Text | str]]) -> None:
    """Print rows in columns as wide as their widest cell; the last column has no end.

    Args:
        console: where to.
        headings: the first line; none for no such line.
        rows: a cell for each column; a plain string is taken as it is, without markup.
    """
    lines = [[Text(cell, "bold") for cell in headings]] if headings else []
    lines += [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [cell + " " * (width - cell.cell_len) for cell, width in zip(line[:-1], widths, strict=False)]
        console.print(Text(GAP).join([*padded, line[-1]]), soft_wrap=True)
