"""Names that a user wrote wrong, beside those that there are: pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_ALIKE = 0.7  # difflib's ratio: two wrong letters of eight
_MAX_SUGGESTED = 3


def alike(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that are most like a name, the best first."""
    by_lower = {one.lower(): one for one in known}
    return [by_lower[match] for match in get_close_matches(name.lower(), by_lower, _MAX_SUGGESTED, _ALIKE)]


def hint(name: str, known: Iterable[str]) -> str:
    """Return the hint of a message about an unknown name, such as 'did you mean rate? Use one of rate, seed.'."""
    names = tuple(known)
    question = did_you_mean(name, names)
    return f"{question} Use one of {', '.join(names)}." if question else f"use one of {', '.join(names)}."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question with the names that are like it, such as 'did you mean rate?'; '' if there is none."""
    near = alike(name, known)
    return f"did you mean {' or '.join(near)}?" if near else ""
