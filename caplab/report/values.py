"""The content of a report, and how its figures are looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from caplab.check.finding import Finding, State
from caplab.model.fields import Json
from caplab.model.runs import RunRecord
from caplab.verdict import Verdict

Figures = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ClockCheck:
    """The server's own clock beside the probers', both in seconds from the injection.

    epoch is the new one, '' if none is known. server_seconds is its first commit as the server stamped it,
    probe_seconds the probers' figure for it; None: there is none, and problem says why.
    """

    epoch: str
    server_seconds: float | None
    probe_seconds: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run with everything that is concluded from it; runs of one name are repeats of each other.

    findings may be empty, if the lab itself failed. seconds is the time by stage, in the stages' order.
    """

    name: str
    run_id: str
    record: RunRecord
    verdict: Verdict
    findings: tuple[Finding, ...]
    clock: ClockCheck | None
    seconds: Mapping[str, float]

    def finding(self, checker: str) -> Finding | None:
        """Return a checker's finding; None if it did not run."""
        return next((finding for finding in self.findings if finding.property == checker), None)

    def figures(self, checker: str) -> Figures:
        """Return a checker's figures, whatever its state; empty if there are none."""
        finding = self.finding(checker)
        return {} if finding is None else finding.figures

    def is_conclusive(self, checker: str) -> bool:
        """Return whether a checker reached a conclusion: only then can its figures be trusted."""
        finding = self.finding(checker)
        return finding is not None and finding.state is not State.UNKNOWN

    def measured(self, checker: str, figure: str) -> float | None:
        """Return a number of a checker that reached a conclusion."""
        return number(self.figures(checker), figure) if self.is_conclusive(checker) else None


def number(figures: Figures, name: str) -> float | None:
    """Return a figure that is a number; None for anything else."""
    value = figures.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def text(figures: Figures, name: str) -> str:
    """Return a figure that is a text; '' for anything else."""
    value = figures.get(name)
    return value if isinstance(value, str) else ""


def listed(figures: Figures, name: str) -> tuple[Figures, ...]:
    """Return a figure that is a list of objects; empty for anything else."""
    value = figures.get(name)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(item for item in value if isinstance(item, Mapping))


def nested(figures: Figures, name: str) -> Figures:
    """Return a figure that is an object; empty for anything else."""
    value = figures.get(name)
    return value if isinstance(value, Mapping) else {}


def is_lower_bound(figures: Figures, name: str) -> bool:
    """Return whether a figure is only a lower bound."""
    names = figures.get("lower_bounds")
    return isinstance(names, Sequence) and name in names
