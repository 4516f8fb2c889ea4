"""Pieces of SVG: shapes and escaped text, and the width of a text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

import numpy as np

from caplab.check.columns import Integers

from .. import words

_NARROWEST = 0.4  # of the letters, in em
INK, MUTED, FAINT = "#1f2328", "#57606a", "#d8dee4"
# Fonts of most systems: the picture embeds none.
FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The position of the plot, in pixels, and its span in seconds."""

    left: float
    right: float
    top: float
    bottom: float
    begin_seconds: float
    end_seconds: float

    def x(self, seconds: float) -> float:
        """Return a moment's place; what is outside is put on the edge."""
        share = (seconds - self.begin_seconds) / (self.end_seconds - self.begin_seconds)
        return self.left + (self.right - self.left) * min(max(share, 0.0), 1.0)


def number(value: float) -> str:
    """Format a coordinate, to a hundredth of a pixel, without needless digits."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def text(x: float, y: float, content: str, size: float = 11, fill: str = INK, more: str = "") -> str:
    """Draw one line of text, escaped; more are further attributes."""
    place = f'x="{number(x)}" y="{number(y)}" font-size="{number(size)}" fill="{fill}"'
    return f"<text {place}{' ' if more else ''}{more}>{escape(words.one_line(content))}</text>"


def rectangle(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    """Draw a filled rectangle; more are further attributes."""
    place = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
    return f'<rect {place} fill="{fill}"{" " if more else ""}{more}/>'


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, more: str = "") -> str:
    """Draw a straight line; more are further attributes."""
    place = f'x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
    return f'<line {place} stroke="{stroke}"{" " if more else ""}{more}/>'


def width(content: str, size: float, bold: bool = False) -> float:
    """Estimate the most pixels that a text takes: by DejaVu Sans, the widest of the usual fonts."""
    return size * (1.08 if bold else 1.0) * sum(_em(char) for char in content)


def _em(char: str) -> float:
    if unicodedata.east_asian_width(char) in "WF":
        return 1.0
    if char in " .,:;|!'()-il":
        return _NARROWEST
    return 0.8 if char.isupper() or char in "%mwM@" else 0.63


def fitted(content: str, room: float, size: float, bold: bool = False) -> str:
    """Cut a text short, after a whole word if it has any, if it does not fit."""
    content = words.one_line(content)
    if width(content, size, bold) <= room:
        return content
    # A long one is not measured letter by letter.
    characters = min(len(content), int(room / (size * _NARROWEST)) + 4)
    while characters > 3 and width(words.cut(content, characters), size, bold) > room:
        characters -= 1
    return words.cut(content, characters)


def runs(values: Integers) -> Iterator[tuple[int, int, int]]:
    """Group equal neighbours: (value, begin, end)."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    for begin, end in pairwise(edges):
        if end > begin:
            yield int(values[begin]), begin, end
