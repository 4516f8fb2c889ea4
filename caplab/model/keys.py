"""The numbers and keys that identify a run's data in a database, for writers and readers."""

from __future__ import annotations

import hashlib
from functools import lru_cache

RUN_BITS = 26
CACHE_ENTRIES = "cache/"  # the prefix of a cache's entries: they are deleted, and scanned, by it


@lru_cache  # of every operation of a load
def run_number(run_id: str) -> int:
    """Return the run's part of every value; two runs share one with a chance of 1 in 2^26."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:4], "big") >> (32 - RUN_BITS)


def key_prefix(run_id: str) -> str:
    """Return the prefix of a run's keys."""
    return f"{run_number(run_id):07x}/"
