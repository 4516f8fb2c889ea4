"""What `caplab check` found in one history, as its output shows it."""

from __future__ import annotations

from dataclasses import dataclass

from caplab.check.finding import Finding, State, merge


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedHistory:
    """The findings of one history, and why each checker that was left out has nothing to check.

    has_clock: its times are those of a clock, and not only an order. format: of its file, '' for a run. notes: what was
    left out of the file, and what else it says. problem: why it was not checked, where it is one of several.
    """

    name: str
    operations: int
    with_fault: bool
    has_clock: bool = True
    findings: tuple[Finding, ...]
    left_out: dict[str, str]
    format: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def state(self) -> State:
        """The merged state; unknown if nothing was checked."""
        return merge(finding.state for finding in self.findings)
