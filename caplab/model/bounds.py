"""How much of a history is read into memory: a small file can expand to very much, and is rejected before it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_EVERYTHING = 2**62  # more than any machine has
MAX_ROWS = 20_000_000
MAX_BYTES = 2 * 2**30


class TooMuch(ValueError):
    """A history over the bounds; the message says how large it is, and the option that raises them."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most rows, and the most bytes of their columns in memory."""

    rows: int = MAX_ROWS
    bytes: int = MAX_BYTES

    def refuse_rows(self, rows: int, at_least: bool = False) -> None:
        """Raise TooMuch if there are more rows; at_least: not all are counted."""
        if rows > self.rows:
            rows_found = f"{'at least ' if at_least else ''}{rows:,} rows"
            raise TooMuch(
                f"The history has {rows_found}, and at most {self.rows:,} are read."
                f" Hint: check a part of it, or allow more with --max-rows {rows} if there is memory for it."
            )

    def refuse_bytes(self, size: int) -> None:
        """Raise TooMuch if they take more memory."""
        if size > self.bytes:
            raise TooMuch(
                f"The history takes at least {in_words(size)} of memory, and at most {in_words(self.bytes)} are"
                f" allowed. Hint: check a part of it, or allow more with --max-bytes {rounded_up(size)} if there is"
                " memory for it."
            )


class Budget:
    """What has been read so far, batch by batch, compared with the bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._rows = self._bytes = 0

    def begin_column(self) -> None:
        """Count rows anew: another column of the same rows follows."""
        self._rows = 0

    def take(self, batch: Any) -> Any:
        """Count a batch and return it; TooMuch if it exceeds the bounds."""
        self._rows += batch.num_rows
        self._bounds.refuse_rows(self._rows, at_least=True)
        self._bytes += batch.nbytes
        self._bounds.refuse_bytes(self._bytes)
        return batch


def in_words(size: int) -> str:
    """Format bytes, such as '1.5 GiB'."""
    for unit, of in _UNITS:
        if size >= of:
            return f"{size / of:.4g} {unit}"
    return f"{size} B"


def rounded_up(size: int) -> str:
    """Format a size for an option, of at least as many bytes: '3GiB'."""
    for unit, of in _UNITS:
        if size >= of:
            return f"{-(-size // of)}{unit}"
    return f"{size}B"


def parsed(text: str) -> int:
    """Parse a size such as 500MiB, 3GiB or 1000000 into bytes; ValueError if it is not a size."""
    for unit, of in (*_UNITS, ("B", 1), ("", 1)):
        number = text.removesuffix(unit).strip()
        if text.endswith(unit) and number.isascii() and number.isdecimal() and len(number) < 20:
            return min(int(number) * of, _EVERYTHING)
    raise ValueError(f"'{text}' is not a size: write it like 500MiB or 4GiB")
