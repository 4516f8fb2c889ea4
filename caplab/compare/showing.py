"""A comparison as a terminal, a page in Markdown and a program take it. Pure."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from caplab.check.finding import State
from caplab.model.fields import Json
from caplab.plain_text import plural
from caplab.report import words
from caplab.report.grid import WIDTH, Grid, escaped, in_columns, in_markdown

from .choosing import Chosen
from .differing import Difference, Differences
from .options import COMPARED
from .values import Key, Results
from .weighing import Result, Rule, Sample, Table, Weighed, counted

SCHEMA = "caplab.dev/compare/v1"
_MOST_VALUES, _MOST_ROWS, _MOST_UNREAD = 4, 3, 10
_NOTHING_LEFT = " Every run is among those to judge. Mend: judge the newest of each row only (--newest 5)."
_LOUD = (Result.REGRESSED, Result.IMPROVED, Result.CHANGED)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is told of two sides."""

    base: Results
    new: Results
    chosen: Chosen
    rule: Rule
    differences: Differences
    table: Table

    @property
    def of_state(self) -> Mapping[State, int]:
        """How many of the runs that are judged now have which verdict; those that prove nothing are unknown."""
        return Counter(run.state for run in self.chosen.looked_at)

    @property
    def regressed(self) -> tuple[Weighed, ...]:
        """The figures that this rule can defend to have got worse."""
        return tuple(one for one in self.table.figures if one.result is Result.REGRESSED)

    @property
    def code(self) -> int:
        """1: some run is invalid or a figure regressed; 2: nothing can be said, or not of all; 0: neither."""
        if self.of_state.get(State.VIOLATED) or self.regressed:
            return 1
        judged = any(one.result is not Result.TOO_FEW for one in self.table.figures)
        unknown = self.of_state.get(State.UNKNOWN) or self.new.failures or self.new.unread
        return 0 if judged and not unknown else 2


def text(told: Comparison, every: bool = False, width: int = WIDTH) -> str:
    """For a terminal; every: also the figures that are the same in every run."""
    blocks = [
        _folded([_headline(told)], "", width),
        _folded(_said_first(told), "- ", width),
        _folded(_alarms(told), "- ", width),
        *(in_columns(grid, width=width) for grid in _grids(told, every) if grid.rows),
        _folded(_ending(told, every), "", width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def markdown(told: Comparison) -> str:
    """For a job's summary: what matters first, and every figure folded away."""
    blocks = [[COMPARED], [escaped(_headline(told))]]
    if first := _said_first(told):
        blocks.append(["**Not as it was before**", "", *(f"- {escaped(line)}" for line in first)])
    blocks.append([f"- {escaped(line)}" for line in _alarms(told)])
    loud = _grid("what changed", [one for one in told.table.figures if one.result in _LOUD])
    every = _grid("every figure", told.table.figures)
    blocks += [in_markdown(loud)] if loud.rows else []
    if every.rows:
        folded = f"<details><summary>every figure of every row ({len(every.rows)})</summary>"
        blocks += [[folded], in_markdown(every), ["</details>"]]
    blocks += [[escaped(line)] for line in _ending(told, every=True)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def to_json(told: Comparison) -> dict[str, Json]:
    """For a program. Figures that are not finite are null."""
    return {
        "schema": SCHEMA,
        "code": told.code,
        "base": str(told.base.place),
        "new": str(told.new.place),
        "rule": {"false_alarms": told.rule.false_alarms, "least_change": told.rule.least_change},
        "tested": told.table.tested,
        "verdicts": {state.value: told.of_state.get(state, 0) for state in State},
        "results": {result.value: count for result, count in counted(told.table).items()},
        "differences": [_difference_json(one) for one in told.differences.found],
        "runs_without_facts": {"base": told.differences.silent_before, "new": told.differences.silent_now},
        "doubtful_runs": told.chosen.doubtful,
        "filled_runs": told.chosen.filled,
        "failures": list(told.new.failures),
        "unread": [*told.base.unread, *told.new.unread],
        "only_base": list(told.table.only_before),
        "only_new": list(told.table.only_new),
        "figures": [_figure_json(one) for one in told.table.figures],
    }


def _headline(told: Comparison) -> str:
    results = counted(told.table)
    states = told.of_state
    runs = f"{plural(sum(states.values()), 'run')} of {told.new.place}"
    before = sum(len(runs) for row, runs in told.chosen.base.items() if row in told.chosen.new)
    figures = words.DOT.join(f"{results[result]} {result.value}" for result in Result if results[result])
    verdicts = words.DOT.join(f"{states.get(state, 0)} {state.value}" for state in State)
    return f"{runs} ({verdicts}) beside {before} of {told.base.place}: {figures or 'no figure that both have'}"


def _said_first(told: Comparison) -> list[str]:
    """What makes both sides something else than the same thing measured twice."""
    lines = [_difference(one) for one in told.differences.found]
    silent = told.differences.silent_before, told.differences.silent_now
    for count, side in zip(silent, (told.base.place, told.new.place), strict=True):
        if count:
            what = "did not keep versions, settings and machine: changes of these do not show"
            lines.append(f"{plural(count, 'run')} of {side} {what}")
    unread = [*told.base.unread, *told.new.unread]
    lines += [f"not read: {words.one_line(one)}" for one in unread[:_MOST_UNREAD]]
    if len(unread) > _MOST_UNREAD:
        lines.append(f"not read: {len(unread) - _MOST_UNREAD} files more")
    lines += [f"not made: {words.one_line(one)}" for one in told.new.failures]
    return lines


def _difference(one: Difference) -> str:
    where = ""
    if one.rows:
        more = f" and {len(one.rows) - _MOST_ROWS} rows more" if len(one.rows) > _MOST_ROWS else ""
        where = f" ({', '.join(one.rows[:_MOST_ROWS])}{more})"
    return words.one_line(f"{one.what}: {_counts(one.before)}, now {_counts(one.now)}{where}")


def _counts(values: Mapping[str, int]) -> str:
    """The values, the most frequent first, with how many runs had each where there are several."""
    every = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    if len(every) == 1:
        return words.told_shortly(every[0][0])
    told = [f"{words.told_shortly(value)} ({plural(count, 'run')})" for value, count in every[:_MOST_VALUES]]
    return ", ".join(told) + (f" and {len(every) - _MOST_VALUES} more" if len(every) > _MOST_VALUES else "")


def _alarms(told: Comparison) -> list[str]:
    """What was violated, what regressed, and what was seen for the first time."""
    lines = []
    for one in told.table.figures:
        if one.violated:
            before = f"{one.violated_before} of {len(one.base.values)} before"
            lines.append(f"VIOLATED: {name_of(one)} in {one.violated} of {len(one.new.values)} runs; {before}")
    known = {one.key for one in told.table.figures}
    lines += [*_violated_alone(told, known), *_violated_elsewhere(told)]
    lines += [f"REGRESSED: {name_of(one)}: {_change(one)}; p {_chance(one.p)}" for one in told.regressed]
    lines += [_first_seen(one) for one in told.table.figures if one.first_seen]
    return lines


def _violated_alone(told: Comparison, known: Iterable[Key]) -> list[str]:
    """Of figures that nothing before is known of."""
    skipped = set(known)
    found: Counter[Key] = Counter()
    for runs in told.chosen.new.values():
        found.update(key for run in runs for key, figure in run.figures.items() if figure.violated)
    return [f"VIOLATED: {_name(key)} in {plural(count, 'run')}" for key, count in found.items() if key not in skipped]


def _violated_elsewhere(told: Comparison) -> list[str]:
    """Of invalid runs that no figure tells of: it was not measured, or the run proves nothing else."""
    weighed = (run for runs in told.chosen.new.values() for run in runs)
    known = {run.run_id for run in weighed if any(figure.violated for figure in run.figures.values())}
    rows = Counter(run.row for run in told.chosen.looked_at if run.state is State.VIOLATED and run.run_id not in known)
    what = "whose figures are not compared: summary.md of its suite says what"
    return [f"VIOLATED: {row} in {plural(count, 'run')} {what}" for row, count in rows.items()]


def _first_seen(one: Weighed) -> str:
    runs, before = sum(value > 0 for value in one.new.values), len(one.base.values)
    most = words.counted(max(one.new.values))
    return (
        f"first seen: {name_of(one)}: up to {most} in {runs} of {len(one.new.values)} runs, none in {before} before;"
        " its row permits that, and so few may be chance"
    )


def _grids(told: Comparison, every: bool) -> list[Grid]:
    figures = told.table.figures if every else [one for one in told.table.figures if not _is_flat(one)]
    return [_grid("every figure" if every else "every figure that differs between runs", figures)]


def _is_flat(one: Weighed) -> bool:
    """Whether it is the same in every run before and now."""
    return len({*one.base.values, *one.new.values}) == 1


def _grid(title: str, figures: Sequence[Weighed]) -> Grid:
    header = ("row", "figure", "runs", "before (± MAD)", "now (± MAD)", "change [95 %]", "result")
    rows, last = [], ""
    for one in figures:
        row = "" if one.key.row == last else one.key.row
        last = one.key.row
        runs = f"{len(one.base.values)}, {len(one.new.values)}"
        samples = (_sample(one.base, one.unit), _sample(one.new, one.unit))
        rows.append((row, _figure_name(one), runs, *samples, _change(one), _result(one)))
    return Grid(title, header, tuple(rows), frozenset({0, 1, 6}))


def _result(one: Weighed) -> str:
    shown = one.result.value
    if one.result in _LOUD:
        shown = f"{shown.upper() if one.result is Result.REGRESSED else shown} (p {_chance(one.p)})"
    return f"{shown}, VIOLATED" if one.violated else shown


def _sample(sample: Sample, unit: str) -> str:
    bound = ">= " if sample.at_least else ""
    spread = f" ± {words.of_unit(sample.mad, unit)}" if sample.mad else ""
    return f"{bound}{words.of_unit(sample.median, unit)}{spread}"


def _change(one: Weighed) -> str:
    """Such as '+6.1 s (+30 %) [5.9, 6.4]'."""
    estimate, low, high = one.change.estimate, one.change.low, one.change.high
    if _is_flat(one):
        return words.NOTHING
    part = f" ({100 * estimate / abs(one.base.median):+.0f} %)" if one.base.median else ""
    certain = words.NOTHING if low is None or high is None else f"{_signed(low, one.unit)}, {_signed(high, one.unit)}"
    return f"{_signed(estimate, one.unit)}{part} [{certain}]"


def _signed(value: float, unit: str) -> str:
    return f"{'+' if value > 0 else '-' if value < 0 else ''}{words.of_unit(abs(value), unit)}"


def _chance(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def name_of(one: Weighed) -> str:
    """The row and the figure."""
    return f"{one.key.row}, {_figure_name(one)}"


def _figure_name(one: Weighed) -> str:
    return words.of_figure(one.key.property, one.key.side, one.key.route, one.has_primary)


def _name(key: Key) -> str:
    return f"{key.row}, {words.of_figure(key.property, key.side, key.route)}"


def _ending(told: Comparison, every: bool) -> list[str]:
    """How it was judged, and what could not be."""
    rate, least = 100 * told.rule.false_alarms, 100 * told.rule.least_change
    lines = [
        "Where nothing changed and runs are independent, the chance of any false alarm in the whole table is at most"
        f" {rate:g} % (exact rank test, corrected for the number of figures that could raise one: {told.table.tested})."
        f" A change of less than {least:g} % of the median before counts as none."
    ]
    flat = sum(_is_flat(one) for one in told.table.figures)
    if flat and not every:
        lines.append(f"The same in every run, and not shown (--all): {plural(flat, 'figure')}.")
    if told.chosen.filled:
        lines.append(
            f"Rows with too few new runs are judged with their newest runs before: {plural(told.chosen.filled, 'run')}."
        )
    lines += _too_few(told.table)
    if told.chosen.doubtful:
        doubtful = plural(told.chosen.doubtful, "run")
        lines.append(f"Not counted, since they prove nothing by their verdict's reasons: {doubtful}.")
    if told.table.only_new:
        before, now = ({run.run_id for run in runs} for runs in (told.base.runs, told.chosen.looked_at))
        mend = _NOTHING_LEFT if before and before <= now else ""
        lines.append(f"No run before: {_listed(told.table.only_new)}.{mend}")
    if told.table.only_before:
        lines.append(f"No run now: {_listed(told.table.only_before)}.")
    return lines


def _too_few(table: Table) -> list[str]:
    few = [one for one in table.figures if one.result is Result.TOO_FEW]
    if not few:
        return []
    wanted = [one.enough for one in few]
    need = max((size for size in wanted if size is not None), default=None)
    mend = "more runs before are needed" if need is None or None in wanted else f"{need} new runs of each row would do"
    return [f"Too few runs for that: {plural(len(few), 'figure')}; {mend}."]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_ROWS} more" if len(names) > _MOST_ROWS else ""
    return ", ".join(words.one_line(name) for name in names[:_MOST_ROWS]) + more


def _folded(lines: Iterable[str], mark: str, width: int) -> list[str]:
    wrapped = (
        textwrap.wrap(words.one_line(line), width, initial_indent=mark, subsequent_indent=" " * len(mark))
        for line in lines
    )
    return [part for line in wrapped for part in line]


def _difference_json(one: Difference) -> dict[str, Json]:
    return {"what": one.what, "base": dict(one.before), "new": dict(one.now), "rows": list(one.rows)}


def _figure_json(one: Weighed) -> dict[str, Json]:
    return {
        "row": one.key.row,
        "property": one.key.property,
        "side": one.key.side or None,
        "route": one.key.route or None,
        "unit": one.unit,
        "result": one.result.value,
        "base": _sample_json(one.base),
        "new": _sample_json(one.new),
        "change": {
            "estimate": _finite(one.change.estimate),
            "low": _finite(one.change.low),
            "high": _finite(one.change.high),
        },
        "p": one.p,
        "violated": one.violated,
        "violated_before": one.violated_before,
        "first_seen": one.first_seen,
        "runs_needed": one.enough,
    }


def _sample_json(sample: Sample) -> dict[str, Json]:
    return {
        "n": len(sample.values),
        "median": sample.median,
        "mad": sample.mad,
        "min": min(sample.values),
        "max": max(sample.values),
        "at_least": sample.at_least,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
