"""Numbers with their nouns and verbs in sentences, such as '1 key is' and '2 keys are': pure."""

from __future__ import annotations


def grouped(number: object) -> str:
    """Return a number as sentences have it, such as '12,345'."""
    return f"{number:,}" if isinstance(number, int) else str(number)


def counted(number: object, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as '1 acked element' or '2 acked elements'; plural: one that is irregular."""
    return f"{grouped(number)} {noun if number == 1 else plural or noun + 's'}"


def all_of(number: object, noun: str) -> str:
    """Return how a sentence about all of them begins: 'The only read', 'All 2 reads'."""
    return f"The only {noun}" if number == 1 else f"All {grouped(number)} {noun}s"


def are(number: object) -> str:
    """Return the verb for so many."""
    return "is" if number == 1 else "are"


def were(number: object) -> str:
    """Return the past tense of `are`."""
    return "was" if number == 1 else "were"


def some_are(number: object, total: object, noun: str) -> str:
    """Return a part of all with its verb: '1 of 3 keys is'."""
    return f"{grouped(number)} of {counted(total, noun)} {are(number)}"
