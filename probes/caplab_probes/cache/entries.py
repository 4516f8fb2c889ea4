"""Cache entries: what the cache holds of a key, and how it is written there (pure)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A copy of what the database held.

    version: the version that was loaded. load_seconds: how long that load took. remaining_seconds: until the cache
    drops the entry, inf if it does not expire.
    """

    version: int
    load_seconds: float
    remaining_seconds: float


def encode(version: int, load_seconds: float) -> str:
    """Encode an entry as the cache keeps it; its lifetime is kept by the cache itself."""
    return f"{version} {round(load_seconds * 1e6)}"


def decode(value: bytes | None, remaining_ms: int) -> Entry | None:
    """Decode the cache's answer: the value, and PTTL. None if there is nothing, or a value that is not ours."""
    if value is None or remaining_ms == _NO_KEY:
        return None
    version, _, micros = value.partition(b" ")
    if not (version.isdigit() and micros.isdigit()):
        return None
    remaining = math.inf if remaining_ms == _NO_EXPIRY else remaining_ms / 1000
    return Entry(int(version), int(micros) / 1e6, remaining)


_NO_EXPIRY, _NO_KEY = -1, -2  # as PTTL reports them
