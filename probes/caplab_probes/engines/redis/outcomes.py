"""Classification of Redis' replies, and of missing ones (pure).

A command that is answered with an error did nothing: Redis checks before it runs it, and the scripts here
write last. The codes are those of src/server.c and of the manual's pages of the commands.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...outcomes import OK, NoAnswer, Outcome, unanswered


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error that the server sent, as text; its first word is the code. A script's error has the same code."""

    text: str

    @property
    def code(self) -> str:
        """The code, such as READONLY."""
        return self.text.partition(" ")[0]


# Any other error is 'refused': MISCONF (it cannot persist), LOADING, OOM, MASTERDOWN, BUSY (a script runs), NOAUTH,
# WRONGPASS, NOPERM, and all others.
_ERRORS = {
    "READONLY": "readonly",  # a replica
    "NOREPLICAS": "no-quorum",  # min-replicas-to-write: refused before it is run
}


def classify(
    sent: bool, problem: NoAnswer | ErrorReply | None, wanted: int = 0, acked: int | ErrorReply | None = None
) -> Outcome:
    """Return the outcome of one command, and of the WAIT that came with it.

    sent: whether any byte of it may have left. problem: what came instead of a reply. wanted: how many replicas were to
    acknowledge it. acked: how many did, by WAIT. Too few, or an error (UNBLOCKED: the primary was demoted meanwhile),
    make a success info: it has happened here, and perhaps nowhere else.
    """
    if isinstance(problem, ErrorReply):
        return Outcome("fail", _ERRORS.get(problem.code, "refused"))
    if problem is not None:
        return unanswered(sent, problem)
    if wanted and not (isinstance(acked, int) and acked >= wanted):
        return Outcome("info", "no-quorum")
    return OK
