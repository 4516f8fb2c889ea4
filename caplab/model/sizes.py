"""Sizes as cluster objects spell them."""

from __future__ import annotations

_UNITS = {"Mi": 2**20, "Gi": 2**30}


def size_bytes(size: str) -> int:
    """Bytes of a size such as 128Mi; KeyError on a unit that the kinds' schemas do not allow."""
    return int(size[:-2]) * _UNITS[size[-2:]]
