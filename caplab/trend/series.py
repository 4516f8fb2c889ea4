"""The series to draw: each figure of a row over its runs, and where versions, settings or the machine changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from caplab.compare.values import MACHINE, SETTING, Fact, Figure, Key, MeasuredRun
from caplab.report import words

_UNSET = "not set"


@dataclass(frozen=True, slots=True)
class Line:
    """One figure; figures are those of the row's runs, None if it was not measured or cannot be trusted."""

    key: Key
    unit: str
    figures: tuple[Figure | None, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """What was measured, in order."""
        return tuple(figure.value for figure in self.figures if figure is not None)

    @property
    def is_flat(self) -> bool:
        """Whether it is the same in every run."""
        return len(set(self.values)) == 1


@dataclass(frozen=True, slots=True)
class Mark:
    """A change from the run of this index on; changes describes it, each part in one sentence."""

    index: int
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row's runs, the oldest first, with everything that is drawn of them."""

    name: str
    runs: tuple[MeasuredRun, ...]
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]

    @property
    def engine(self) -> str:
        """The first word of its name."""
        return self.name.partition(" ")[0]


def rows_of(runs: Iterable[MeasuredRun], last: int) -> tuple[Row, ...]:
    """Return the last so many runs of each row, by the rows' names."""
    by_row: dict[str, list[MeasuredRun]] = {}
    for run in runs:
        by_row.setdefault(run.row, []).append(run)
    return tuple(_row(name, tuple(by_row[name][-last:])) for name in sorted(by_row))


def _row(name: str, runs: tuple[MeasuredRun, ...]) -> Row:
    keys = list({key: None for run in reversed(runs) for key in run.figures})  # in the newest row's order
    lines = (_line(key, _unit(key, runs), runs) for key in keys)
    marks = (
        Mark(number, changed) for number, (old, new) in enumerate(pairwise(runs), 1) if (changed := changes(old, new))
    )
    return Row(name, runs, tuple(lines), tuple(marks))


def _line(key: Key, unit: str, runs: Sequence[MeasuredRun]) -> Line:
    """Build a line; a figure in another unit than that of the newest run is left out."""
    figures = (run.figures.get(key) for run in runs)
    return Line(key, unit, tuple(figure if figure is not None and figure.unit == unit else None for figure in figures))


def _unit(key: Key, runs: Sequence[MeasuredRun]) -> str:
    return next(run.figures[key].unit for run in reversed(runs) if key in run.figures)


def changes(old: MeasuredRun, new: MeasuredRun) -> tuple[str, ...]:
    """List what one run was made with, or promised, that the one before was not; empty if one did not record it."""
    if not old.facts or not new.facts:
        return ()
    facts = sorted(old.facts.keys() | new.facts.keys())
    sentences = [sentence for fact in facts if (sentence := _change(fact, old.facts, new.facts))]
    promises = ((key, _promise(old, key), _promise(new, key)) for key in new.figures if key in old.figures)
    sentences += [f"promise of {key.property}: {before} → {now}" for key, before, now in promises if before != now]
    units = ((key, old.figures[key].unit, new.figures[key].unit) for key in new.figures if key in old.figures)
    sentences += [
        f"unit of {key.property}: {before or 'none'} → {now or 'none'}" for key, before, now in units if before != now
    ]
    return tuple(sentences)


def _change(fact: Fact, old: Mapping[Fact, str], new: Mapping[Fact, str]) -> str:
    before, now = old.get(fact, _UNSET), new.get(fact, _UNSET)
    if before == now or (fact.kind != SETTING and _UNSET in (before, now)):
        return ""
    what = f"machine's {fact.name}" if fact.kind == MACHINE else f"{fact.kind} of {fact.name}"
    return f"{what}: {words.abbreviated(before)} → {words.abbreviated(now)}"


def _promise(run: MeasuredRun, key: Key) -> str:
    figure = run.figures[key]
    return f"{figure.promise} {figure.budget}" if figure.budget else figure.promise
