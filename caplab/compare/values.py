"""The values that are compared: runs as in their suites' verdicts, and the figures of their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from caplab.check.finding import State

VERSION, IMAGE, SETTING, MACHINE = "version", "image", "setting", "machine"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A figure of a row; side and route are '' if it covers all clients."""

    row: str
    property: str
    side: str = ""
    route: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure that one run measured. at_least: it is only a lower bound.

    promise is what the row promised of it, budget and limit its bound as an expression and as a value; None: it has
    none.
    """

    value: float
    unit: str = ""
    at_least: bool = False
    violated: bool = False
    promise: str = ""
    budget: str | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """A fact about a run, by kind (VERSION, IMAGE, SETTING, MACHINE) and name."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """One run. began is ISO 8601 in UTC.

    doubtful: it did not test its row (no evidence of the fault, no steady state before): its figures prove nothing.
    facts is empty if its suite did not record them. load: the machine's when the suite began; None: not known.
    """

    run_id: str
    began: str
    suite: str
    row: str
    state: State
    doubtful: bool
    figures: Mapping[Key, Figure]
    facts: Mapping[Fact, str]
    load: float | None
    has_primary: bool = True


@dataclass(frozen=True, slots=True)
class Results:
    """All results in a place, the runs in the order in which they began, each once.

    failures: what the lab could not run. unread: a sentence for each file that could not be read.
    """

    place: Path
    runs: tuple[MeasuredRun, ...]
    failures: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
