"""What a client observes: ok (took effect), fail (surely did not), info (unknown).

The errors of each engine are classified in its own folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class NoAnswer(Enum):
    """Why there was no answer; the values are those of the history."""

    TIMEOUT = "timeout"
    REFUSED = "refused"  # no connection could be made
    CLOSED = "closed"  # the connection was lost


@dataclass(frozen=True, slots=True)
class Outcome:
    """The columns outcome and error of one operation."""

    outcome: str
    error: str | None = None


OK = Outcome("ok")
CONFLICT = Outcome("fail", "conflict")  # another transaction was in the way, and this one surely did not happen
OVERLOAD = Outcome("fail", "overload")  # the prober itself held it back


def unanswered(sent: bool, no_answer: NoAnswer) -> Outcome:
    """Return the outcome without an answer; sent is whether any byte of the operation may have left."""
    return Outcome("info" if sent else "fail", no_answer.value)
