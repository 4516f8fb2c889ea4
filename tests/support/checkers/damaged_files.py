"""Damage to histories in files: bytes that are changed, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from caplab.model.disorder import validate_stored
from caplab.model.history import Table


def refusals_of_damage(path: Path, read: Callable[[Path], Table], every: int) -> int:
    """Read a file again and again, each time with another byte changed; return how often it was refused.

    every: the bytes from one changed byte to the next. Whatever else than a ValueError comes of it is raised.
    """
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), every):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            validate_stored(read(path))
        except ValueError:
            refused += 1
    return refused
