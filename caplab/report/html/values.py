"""The content of a page: a suite, its runs, and what was made of each run's history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..values import RunReport
from .history import HistoryView


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """One run: command repeats it, description is the experiment's own; '' if they are not known.

    view is None if its history is gone, and problem says why.
    """

    report: RunReport
    command: str = ""
    description: str = ""
    view: HistoryView | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePage:
    """A suite: machine and made in words, and a sentence for each planned run that has no verdict, by its name."""

    suite: str
    machine: str
    made: str
    runs: Sequence[RunPage]
    without_verdict: Sequence[tuple[str, str]] = ()
