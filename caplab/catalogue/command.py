"""`caplab list`: returns the text to print."""

from __future__ import annotations

from collections.abc import Sequence

from ..files.packaged import experiments_folder
from . import listing

_BOLD, _RESET = "\x1b[1m", "\x1b[0m"


def list_all(kinds: Sequence[str], width: int, colour: bool) -> str:
    """List what there is of these kinds, else of all; width in columns. FieldError if a file is damaged."""
    return listing.rendered(listing.sections(kinds, experiments_folder()), width, _bold if colour else str)


def _bold(text: str) -> str:
    return f"{_BOLD}{text}{_RESET}"
