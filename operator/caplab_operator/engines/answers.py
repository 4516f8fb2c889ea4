"""Readers of values that a member answered: each raises TypeError for one of another type."""

from __future__ import annotations


def text(value: object) -> str:
    """Return a value that must be a string."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def flag(value: object) -> bool:
    """Return a value that must be true or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value
