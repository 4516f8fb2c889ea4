"""Text from outside (clusters, databases, files, other programs), made fit for a terminal: it must not draw there."""

from __future__ import annotations

from typing import TextIO


def printable(text: str) -> str:
    """A text without control characters: each but the line end becomes a blank, so that words stay apart.

    Control characters are all that is not printable by Unicode: escape sequences' first character, carriage returns,
    marks that turn the direction of writing, halves of surrogate pairs.
    """
    return "".join(char if char == "\n" or char.isprintable() else " " for char in text)


class PlainWriter:
    """Writes to a stream what is printable of a text: for what others hand on as it came, such as log handlers."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write a text; how many characters were written."""
        return self._out.write(printable(text))

    def flush(self) -> None:
        """Have it shown."""
        self._out.flush()
