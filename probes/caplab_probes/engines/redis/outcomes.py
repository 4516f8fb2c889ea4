"""What Redis' replies mean, or that there were none (pure).

A command that is answered with an error did nothing: Redis checks before it runs it, and the scripts here
write last. The codes are those of src/server.c and of the manual's pages of the commands.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...outcomes import OK, NoAnswer, Outcome, unanswered


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error that the server sent, as text; its first word is the code. A script's has the same code."""

    text: str

    @property
    def code(self) -> str:
        """Such as READONLY."""
        return self.text.partition(" ")[0]


# Whatever else a server says is 'refused': MISCONF (it cannot persist), LOADING, OOM, MASTERDOWN, BUSY (a script
# runs), NOAUTH, WRONGPASS, NOPERM, and all that there may be.
_ERRORS = {
    "READONLY": "readonly",  # a replica
    "NOREPLICAS": "no-quorum",  # min-replicas-to-write: refused before it is run
}


def classify(
    sent: bool, problem: NoAnswer | ErrorReply | None, wanted: int = 0, acked: int | ErrorReply | None = None
) -> Outcome:
    """The outcome of one command, and of the WAIT that came with it.

    sent: whether any byte of it may have left; problem: what came instead of a reply. wanted: how many
    replicas were to acknowledge it, acked: what WAIT said. Too few, or an error (UNBLOCKED: the primary was
    demoted meanwhile), make a success info: it is done here, and perhaps nowhere else.
    """
    if isinstance(problem, ErrorReply):
        return Outcome("fail", _ERRORS.get(problem.code, "refused"))
    if problem is not None:
        return unanswered(sent, problem)
    if wanted and not (isinstance(acked, int) and acked >= wanted):
        return Outcome("info", "no-quorum")
    return OK
