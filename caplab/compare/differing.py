"""Other differences: versions, images, settings, machine, promises. They are reported first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .choosing import ChosenRuns
from .values import IMAGE, MACHINE, SETTING, VERSION, Fact, Key, MeasuredRun

_ORDER = {kind: number for number, kind in enumerate((VERSION, IMAGE, SETTING, MACHINE))}
_UNSET, _NO_UNIT = "not set", "a count"


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference. before and now are the values with their number of runs; rows are those it concerns, () for all."""

    what: str
    before: Mapping[str, int]
    now: Mapping[str, int]
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Differences:
    """The differences, and how many runs before and now did not record what they were made with."""

    items: tuple[Difference, ...]
    silent_before: int
    silent_now: int


def differences(chosen: ChosenRuns) -> Differences:
    """Find, for the rows that both sides have, each fact whose values differ now.

    If the earlier runs had several values, it changed among them, and they are not a baseline of one thing: that is
    reported too.
    """
    rows = sorted(chosen.base.keys() & chosen.new.keys())
    before = [run for row in rows for run in chosen.base[row]]
    now = [run for row in rows for run in chosen.new[row]]
    general = [*_changed(before, now), *_loads(before, now)]
    particular = _merged(difference for row in rows for difference in _of_row(row, chosen.base[row], chosen.new[row]))
    silent = (sum(not run.facts for run in runs) for runs in (before, now))
    return Differences((*general, *particular), *silent)


def _changed(before: Sequence[MeasuredRun], now: Sequence[MeasuredRun]) -> list[Difference]:
    """Compare versions, images and the machine, over all rows."""
    facts = _facts(before, now, (VERSION, IMAGE, MACHINE))
    return [
        Difference(f"{fact.kind} of {fact.name}" if fact.kind != MACHINE else f"machine's {fact.name}", old, new)
        for fact in facts
        if (values := _values(fact, before, now))
        for old, new in [values]
    ]


def _of_row(row: str, before: Sequence[MeasuredRun], now: Sequence[MeasuredRun]) -> Iterable[Difference]:
    for fact in _facts(before, now, (SETTING,)):
        if values := _values(fact, before, now, always=True):
            yield Difference(f"setting {fact.name}", *values, (row,))
    for key in {key: None for run in now for key in run.figures}:
        where = ", ".join(part for part in (key.side, key.route) if part)
        figure = f"{key.property}{f' ({where})' if where else ''}"
        for what, counted in (("promise", _promises), ("unit", _units)):
            old, new = counted(key, before), counted(key, now)
            if old and new.keys() != old.keys():
                yield Difference(f"{what} of {figure}", old, new, (row,))


def _facts(before: Iterable[MeasuredRun], now: Iterable[MeasuredRun], kinds: Sequence[str]) -> list[Fact]:
    every = {fact for run in (*before, *now) for fact in run.facts if fact.kind in kinds}
    return sorted(every, key=lambda fact: (_ORDER[fact.kind], fact.name))


def _values(
    fact: Fact, before: Sequence[MeasuredRun], now: Sequence[MeasuredRun], always: bool = False
) -> tuple[Counter[str], Counter[str]] | None:
    """Return a fact's values before and now; None if they are equal, unknown on one side, or different in each run.

    always: a run that records other facts of this kind has this one too, or it is not set; for versions and images,
    which belong to an engine, a run without the fact is skipped.
    """
    old, new = (_counts(fact, runs, always) for runs in (before, now))
    own = len(old.keys() | new.keys()) > max(2, (old.total() + new.total()) / 2)
    return None if not old or not new or own or new.keys() == old.keys() else (old, new)


def _counts(fact: Fact, runs: Iterable[MeasuredRun], always: bool) -> Counter[str]:
    return Counter(run.facts.get(fact, _UNSET) for run in runs if run.facts and (always or fact in run.facts))


def _promises(key: Key, runs: Iterable[MeasuredRun]) -> Counter[str]:
    figures = [run.figures[key] for run in runs if key in run.figures]
    return Counter(f"{figure.promise} {figure.budget}" if figure.budget else figure.promise for figure in figures)


def _units(key: Key, runs: Iterable[MeasuredRun]) -> Counter[str]:
    return Counter(run.figures[key].unit or _NO_UNIT for run in runs if key in run.figures)


def _loads(before: Sequence[MeasuredRun], now: Sequence[MeasuredRun]) -> list[Difference]:
    """Report the machine's load if every new suite began under more than any before, by over half a core."""
    old = [run.load for run in before if run.load is not None]
    new = [run.load for run in now if run.load is not None]
    if not old or not new or min(new) <= max(old) + 0.5:
        return []
    before_now = [Counter({f"{min(loads):.1f} to {max(loads):.1f}": len(loads)}) for loads in (old, new)]
    return [Difference("machine's load at the beginning", before_now[0], before_now[1])]


def _merged(every: Iterable[Difference]) -> list[Difference]:
    """Merge equal differences of several rows."""
    merged: dict[tuple[str, frozenset[str], frozenset[str]], Difference] = {}
    for difference in every:
        name = difference.what, frozenset(difference.before), frozenset(difference.now)
        if name in merged:
            was = merged[name]
            before, now = Counter(was.before) + Counter(difference.before), Counter(was.now) + Counter(difference.now)
            merged[name] = Difference(difference.what, before, now, (*was.rows, *difference.rows))
        else:
            merged[name] = difference
    return list(merged.values())
