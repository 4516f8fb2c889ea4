"""How operations fared while the fault lasted: from the injection, itself included, to heal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from caplab.check.columns import NEVER
from caplab.check.series import Series


@dataclass(frozen=True, slots=True)
class InFault:
    """What a series was served in the fault window, which has no end if the heal is not known.

    served_ns is from the injection to the last ack of an operation invoked in the window, 0 without one. An operation
    acked only after the fault was not served in it, whenever it was invoked.
    """

    scheduled: int
    unacked: int  # of the operations scheduled in it
    acked: int  # of the operations invoked in it, and before heal
    served_ns: int

    @classmethod
    def of(cls, series: Series, injected_ns: int, healed_ns: int | None) -> InFault:
        """Measure one series."""
        end_ns = NEVER if healed_ns is None else healed_ns
        due = (series.scheduled_ns >= injected_ns) & (series.scheduled_ns < end_ns)
        acked = series.acked & (series.invoke_ns >= injected_ns) & (series.return_ns < end_ns)
        last_ns = int(series.return_ns[acked].max(initial=injected_ns))
        return cls(int(due.sum()), int((due & ~series.acked).sum()), int(acked.sum()), last_ns - injected_ns)


def served_seconds(parts: Sequence[InFault]) -> float | None:
    """Return how long the part was served that was served longest; None if there are no parts."""
    return max(part.served_ns for part in parts) / 1e9 if parts else None


def unacked_share(parts: Sequence[InFault]) -> float | None:
    """Return the unacked share of what was scheduled in the window; None if nothing was."""
    scheduled = sum(part.scheduled for part in parts)
    return sum(part.unacked for part in parts) / scheduled if scheduled else None


def acked_in_fault(parts: Sequence[InFault]) -> int | None:
    """Count the operations invoked in the window that were acked in it; None if there are no parts."""
    return sum(part.acked for part in parts) if parts else None
