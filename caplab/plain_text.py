"""Text from outside (clusters, databases, files, other programs), made fit for a terminal: it must not draw there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Protocol

_NARROWEST, _WIDE = 40, 1000


def printable(text: str) -> str:
    """A text without control characters: each but the line end becomes a blank, so that words stay apart.

    Control characters are all that is not printable by Unicode: escape sequences' first character, carriage returns,
    marks that turn the direction of writing, halves of surrogate pairs.
    """
    return "".join(char if char == "\n" or char.isprintable() else " " for char in text)


def one_line(text: str) -> str:
    """The same in one line, its words a blank apart."""
    return " ".join(printable(text).split())


def terminal_columns() -> int:
    """How wide the terminal is that stdout is, _NARROWEST at least; _WIDE where it is none, or does not say."""
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return _WIDE
    return max(_NARROWEST, columns) if columns else _WIDE


class Out(Protocol):
    """What is written to."""

    def write(self, text: str, /) -> int:
        """Write a text; how many characters were written."""

    def flush(self) -> None:
        """Have it shown."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""


class SteadyWriter:
    """Writes to a stream as long as that takes it: a run is not to end because nobody reads, or the disk is full.

    problem: why it does not any more, '' where it does, or where whoever reads has seen enough.
    """

    def __init__(self, out: Out) -> None:
        self._out, self._broken, self.problem = out, False, ""

    def write(self, text: str) -> int:
        """Write a text, or nothing."""
        if not self._broken:
            self._tried(lambda: self._out.write(text))
        return len(text)

    def flush(self) -> None:
        """Have it shown."""
        if not self._broken:
            self._tried(self._out.flush)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._out.isatty()

    def _tried(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BrokenPipeError:
            self._broken = True
        except OSError as error:
            self._broken, self.problem = True, error.strerror or str(error)


class PlainWriter:
    """Writes to a stream what is printable of a text: for what others hand on as it came, such as log handlers."""

    def __init__(self, out: Out) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write a text; how many characters were written."""
        return self._out.write(printable(text))

    def flush(self) -> None:
        """Have it shown."""
        self._out.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._out.isatty()


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: "1 run", "2,000 runs"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
