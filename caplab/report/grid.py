"""Tables of text, for the terminal in columns, and for Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from ..plain_text import printable

WIDTH = 110  # columns of a terminal that a report may take
_MIN_WIDTH = 3  # the least width of a column of text
_READABLE = 12  # the same, as long as nothing has to be broken
_RIGHT, _LEFT = ">", "<"
# The backslash first: one before a vertical bar would unescape it.
_ESCAPES = (
    ("\\", "\\\\"),
    ("&", "&amp;"),
    ("<", "&lt;"),
    ("|", "\\|"),
    ("*", "\\*"),
    ("`", "\\`"),
    ("~", "\\~"),
    ("\n", " "),
)
_EMPHASIS = re.compile(r"(?<!\w)_|_(?!\w)")  # within a word it means nothing
_ADDRESS = re.compile(r"\b(?:https?|ftp)://|\bwww\.", re.IGNORECASE)  # GitHub makes links of them
_LINK = re.compile(r"\](?=[(\[])")  # other brackets stay, as those of intervals


@dataclass(frozen=True, slots=True)
class Grid:
    """A titled table. The columns of texts, by number, are left-aligned and may wrap; the others are numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: frozenset[int]


Painter = Callable[[str], str]  # adds colour to a padded cell


def plain(cell: str) -> str:
    """Return the cell without colour."""
    return cell


def in_columns(grid: Grid, paint: Painter = plain, width: int = WIDTH) -> list[str]:
    """Render it as lines, the title first, within the width unless the columns of numbers need more."""
    gap, widths = _widths(grid, width)
    lines = [printable(grid.title), *_lines(grid, grid.header, widths, gap, plain)]
    lines.append(gap.join("-" * width for width in widths))
    for row in grid.rows:
        lines += _lines(grid, row, widths, gap, paint)
    return lines


def in_markdown(grid: Grid) -> list[str]:
    """Render it as lines of a GitHub table, under its title."""
    marks = [":--" if number in grid.texts else "--:" for number in range(len(grid.header))]
    body = [_markdown_row(row) for row in (grid.header, tuple(marks), *grid.rows)]
    return [f"**{escaped(grid.title)}**", "", *body]


def escaped(text: str) -> str:
    """Escape a text for Markdown and HTML, in one line, even within a table; it links to nothing."""
    for sign, stands_for in _ESCAPES:
        text = text.replace(sign, stands_for)
    text = _ADDRESS.sub(lambda found: found[0].replace(":", "&#58;").replace(".", "&#46;"), text)
    return _EMPHASIS.sub(r"\\_", _LINK.sub(r"\\]", printable(text)))


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escaped(cell) for cell in cells)} |"


def _widths(grid: Grid, most: int) -> tuple[str, list[int]]:
    """Return the gap between columns, and each one's width: texts shrink, the widest first, then the gap."""
    columns = zip(grid.header, *grid.rows, strict=True)
    full = [max(len(line) for cell in column for line in cell.split("\n")) for column in columns]
    whole = _longest_words(grid)  # the gap shrinks before words are broken
    for gap, floors in (("  ", whole), (" ", whole), (" ", [_MIN_WIDTH] * len(full))):
        widths, room = list(full), most - len(gap) * (len(full) - 1)
        while sum(widths) > room and (wide := [number for number in grid.texts if widths[number] > floors[number]]):
            widths[max(wide, key=widths.__getitem__)] -= 1
        if sum(widths) <= room:
            break
    return gap, widths


def _longest_words(grid: Grid) -> list[int]:
    """Return the least width of each column that breaks no word; a column that may wrap has _READABLE at least."""
    columns = zip(grid.header, *grid.rows, strict=True)
    return [max(_READABLE, *(len(word) for cell in column for word in cell.split())) for column in columns]


def _lines(grid: Grid, row: Sequence[str], widths: Sequence[int], gap: str, paint: Painter) -> list[str]:
    cells = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    aligned = [_LEFT if number in grid.texts else _RIGHT for number in range(len(widths))]
    lines = []
    for parts in zip_longest(*cells, fillvalue=""):
        padded = (f"{part:{side}{width}}" for part, side, width in zip(parts, aligned, widths, strict=True))
        lines.append(gap.join(paint(printable(cell)) for cell in padded).rstrip())
    return lines


def _wrapped(cell: str, width: int) -> list[str]:
    return [part for line in cell.split("\n") for part in _folded(line, width)]


def _folded(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, break_on_hyphens=False) if len(line) > width and line.strip() else [line]
