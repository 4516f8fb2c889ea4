"""What a client's experience means: ok (took effect), fail (surely did not), info (nobody knows).

What an engine's own errors mean is said in its folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class NoAnswer(Enum):
    """Why there was no answer; the values are the history's words for it."""

    TIMEOUT = "timeout"
    REFUSED = "refused"  # no connection could be made
    CLOSED = "closed"  # the connection went away


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome and error columns of one operation."""

    outcome: str
    error: str | None = None


OK = Outcome("ok")
OVERLOAD = Outcome("fail", "overload")  # the prober itself held it back


def unanswered(sent: bool, no_answer: NoAnswer) -> Outcome:
    """The outcome where there was no answer; sent: whether any byte of the operation may have left."""
    return Outcome("info" if sent else "fail", no_answer.value)
