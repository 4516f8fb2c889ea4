"""Text from outside (clusters, databases, files, other programs), made safe to print on a terminal."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Protocol

_NARROWEST, _WIDE = 40, 1000
_NARROW_REPORT, _REPORT = 80, 110
_MAX_DIGITS = 10  # of COLUMNS


def printable(text: str) -> str:
    """Return a text without control characters: each but the line end becomes a blank, so that words stay apart.

    A control character is any that is not printable by Unicode: escape sequences' first character, carriage returns,
    marks that turn the direction of writing, halves of surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(char if char == "\n" or char.isprintable() else " " for char in text)


def one_line(text: str) -> str:
    """Return the printable text in one line, its words a blank apart."""
    return " ".join(printable(text).split())


def terminal_columns() -> int:
    """Return the columns of the terminal that stdout is, _NARROWEST at least; _WIDE if it is none, or has no size."""
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return _WIDE
    return max(_NARROWEST, columns) if columns else _WIDE


def report_columns() -> int:
    """Return the columns of a report: those of the terminal or, where stdout is none, of COLUMNS; _REPORT by default.

    They are _REPORT at most, and _NARROW_REPORT at least.
    """
    columns = terminal_columns()
    if columns == _WIDE:
        given = os.environ.get("COLUMNS", "")
        columns = int(given) if given.isdecimal() and len(given) < _MAX_DIGITS else _REPORT
    return min(_REPORT, max(_NARROW_REPORT, columns))


def wants_colour(out: Out) -> bool:
    """Return whether a stream gets colours: it is a terminal that has them, and NO_COLOR is not set (no-color.org)."""
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Out(Protocol):
    """A text stream."""

    def write(self, text: str, /) -> int:
        """Write a text and return the number of characters."""

    def flush(self) -> None:
        """Flush it."""

    def isatty(self) -> bool:
        """Return whether it is a terminal."""


class SteadyWriter:
    """Writes to a stream as long as that accepts it: a run must not end because of a closed pipe or a full disk.

    problem: why it stopped, '' if it did not, or if its reader has closed it.
    """

    def __init__(self, out: Out | None) -> None:
        self._out, self._broken, self.problem = out or io.StringIO(), out is None, ""  # None: stdout was closed

    def write(self, text: str) -> int:
        """Write a text, or nothing once the stream has failed."""
        if not self._broken:
            self._attempt(lambda: self._out.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush it."""
        if not self._broken:
            self._attempt(self._out.flush)

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._out.isatty()

    def _attempt(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BrokenPipeError:
            self._broken = True
        except OSError as error:
            self._broken, self.problem = True, error.strerror or str(error)


class PlainWriter:
    """Writes only the printable part of a text: for unfiltered sources such as log handlers."""

    def __init__(self, out: Out) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write a text and return the number of characters."""
        return self._out.write(printable(text))

    def flush(self) -> None:
        """Flush it."""
        self._out.flush()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._out.isatty()


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: "1 run", "2,000 runs"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
