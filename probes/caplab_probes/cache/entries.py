"""What the cache holds of a key, and how it is written there (pure)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A copy of what the database held.

    version: as it was loaded. load_seconds: how long that load took. remaining_seconds: until the cache lets it go,
    inf where it does not.
    """

    version: int
    load_seconds: float
    remaining_seconds: float


def encode(version: int, load_seconds: float) -> str:
    """An entry as the cache keeps it; the cache itself knows for how long."""
    return f"{version} {round(load_seconds * 1e6)}"


def decode(value: bytes | None, remaining_ms: int) -> Entry | None:
    """What the cache answered: the value, and PTTL. None where there is nothing, or what somebody else wrote."""
    if value is None or remaining_ms == _NO_KEY:
        return None
    version, _, micros = value.partition(b" ")
    if not (version.isdigit() and micros.isdigit()):
        return None
    remaining = math.inf if remaining_ms == _NO_EXPIRY else remaining_ms / 1000
    return Entry(int(version), int(micros) / 1e6, remaining)


_NO_EXPIRY, _NO_KEY = -1, -2  # as PTTL says them
