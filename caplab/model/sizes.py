"""Sizes as written in cluster objects."""

from __future__ import annotations

_UNITS = {"Mi": 2**20, "Gi": 2**30}


def size_bytes(size: str) -> int:
    """Return the bytes of a size such as 128Mi; KeyError for a unit that the kinds' schemas do not allow."""
    return int(size[:-2]) * _UNITS[size[-2:]]
