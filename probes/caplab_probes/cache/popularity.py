"""Popularity of keys: by Zipf's law few keys get most of the reads.

Breslau et al., "Web Caching and Zipf-like Distributions", INFOCOM 1999. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate

_DRAWS = float(1 << 64)


def rank_of(draw: int, keys: int, exponent: float) -> int:
    """Map a draw of 64 bits to a key, 0 the most popular; key k has the weight 1 / (k + 1) ** exponent.

    With exponent 0 all keys are equally popular.
    """
    shares = _shares(keys, exponent)
    return min(bisect_right(shares, draw / _DRAWS * shares[-1]), keys - 1)


@lru_cache
def _shares(keys: int, exponent: float) -> tuple[float, ...]:
    """Return for each key the cumulated weight of it and all before it."""
    return tuple(accumulate(float(place) ** -exponent for place in range(1, keys + 1)))
