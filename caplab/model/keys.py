"""By which numbers and keys a run's data is known in a database, to whoever writes and whoever reads it."""

from __future__ import annotations

import hashlib
from functools import lru_cache

RUN_BITS = 26
CACHE_ENTRIES = "cache/"  # before the keys of a cache's entries: it is emptied, and looked through, by it


@lru_cache  # of every operation of a load
def run_number(run_id: str) -> int:
    """The run's part of every value; two runs share one by a chance of 1 in 2^26."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:4], "big") >> (32 - RUN_BITS)


def key_prefix(run_id: str) -> str:
    """What the keys of a run begin with."""
    return f"{run_number(run_id):07x}/"
