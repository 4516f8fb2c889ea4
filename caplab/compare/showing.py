"""A comparison for a terminal, as a page in Markdown and for a program. Pure."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from caplab.check.finding import State
from caplab.contract.names import COMPARE_SCHEMA
from caplab.model.fields import Json
from caplab.plain_text import plural
from caplab.report import words
from caplab.report.grid import WIDTH, Grid, escaped, in_columns, in_markdown

from .choosing import ChosenRuns
from .differing import Difference, Differences
from .options import COMPARED
from .values import Key, Results
from .weighing import ComparedFigure, Result, Rule, Sample, Table, counted, enough_of_each

_MAX_VALUES, _MAX_ROWS, _MAX_UNREAD = 4, 3, 10
_NOTHING_LEFT = " Every run is among those to judge. Hint: judge the newest of each row only (--newest 5)."
_NOTABLE = (Result.REGRESSED, Result.IMPROVED, Result.CHANGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that is reported of two sides."""

    base: Results
    new: Results
    chosen: ChosenRuns
    rule: Rule
    differences: Differences
    table: Table

    @property
    def of_state(self) -> Mapping[State, int]:
        """How many of the judged runs have which verdict; those that prove nothing are unknown."""
        return Counter(run.state for run in self.chosen.looked_at)

    @property
    def regressed(self) -> tuple[ComparedFigure, ...]:
        """The figures that became worse by this rule."""
        return tuple(figure for figure in self.table.figures if figure.result is Result.REGRESSED)

    @property
    def code(self) -> int:
        """The exit code. 1: a run is invalid or a figure regressed; 2: something cannot be judged; 0: neither."""
        if self.of_state.get(State.VIOLATED) or self.regressed:
            return 1
        judged = any(figure.result is not Result.TOO_FEW for figure in self.table.figures)
        unknown = self.of_state.get(State.UNKNOWN) or self.new.failures or self.new.unread
        return 0 if judged and not unknown else 2


def text(comparison: Comparison, every: bool = False, width: int = WIDTH) -> str:
    """Render it for a terminal; every: also the figures that are the same in every run."""
    blocks = [
        _folded([_headline(comparison)], "", width),
        _folded(_caveats(comparison), "- ", width),
        _folded(_alarms(comparison), "- ", width),
        *(in_columns(grid, width=width) for grid in _grids(comparison, every) if grid.rows),
        _folded(_ending(comparison, every), "", width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def markdown(comparison: Comparison) -> str:
    """Render it for a job's summary: what matters first, and every figure folded away."""
    blocks = [[COMPARED], [escaped(_headline(comparison))]]
    if first := _caveats(comparison):
        blocks.append(["**Not as it was before**", "", *(f"- {escaped(line)}" for line in first)])
    blocks.append([f"- {escaped(line)}" for line in _alarms(comparison)])
    notable = _grid("what changed", [figure for figure in comparison.table.figures if figure.result in _NOTABLE])
    every = _grid("every figure", comparison.table.figures)
    blocks += [in_markdown(notable)] if notable.rows else []
    if every.rows:
        folded = f"<details><summary>every figure of every row ({len(every.rows)})</summary>"
        blocks += [[folded], in_markdown(every), ["</details>"]]
    blocks += [[escaped(line)] for line in _ending(comparison, every=True)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def to_json(comparison: Comparison) -> dict[str, Json]:
    """Return it for a program. Figures that are not finite are null."""
    return {
        "schema": COMPARE_SCHEMA,
        "code": comparison.code,
        "base": str(comparison.base.place),
        "new": str(comparison.new.place),
        "rule": {"false_alarms": comparison.rule.false_alarms, "least_change": comparison.rule.min_change},
        "tested": comparison.table.tested,
        "verdicts": {state.value: comparison.of_state.get(state, 0) for state in State},
        "results": {result.value: count for result, count in counted(comparison.table).items()},
        "differences": [_difference_json(difference) for difference in comparison.differences.items],
        "runs_without_facts": {"base": comparison.differences.silent_before, "new": comparison.differences.silent_now},
        "doubtful_runs": comparison.chosen.doubtful,
        "filled_runs": comparison.chosen.filled,
        "failures": list(comparison.new.failures),
        "unread": [*comparison.base.unread, *comparison.new.unread],
        "only_base": list(comparison.table.only_before),
        "only_new": list(comparison.table.only_new),
        "figures": [_figure_json(figure) for figure in comparison.table.figures],
    }


def _headline(comparison: Comparison) -> str:
    results = counted(comparison.table)
    states = comparison.of_state
    runs = f"{plural(sum(states.values()), 'run')} of {comparison.new.place}"
    before = sum(len(runs) for row, runs in comparison.chosen.base.items() if row in comparison.chosen.new)
    figures = words.DOT.join(f"{results[result]} {result.value}" for result in Result if results[result])
    verdicts = words.DOT.join(f"{states.get(state, 0)} {words.of_verdict(state).lower()}" for state in State)
    return f"{runs} ({verdicts}) beside {before} of {comparison.base.place}: {figures or 'no common figure'}"


def _caveats(comparison: Comparison) -> list[str]:
    """List what makes the two sides different from the same thing measured twice."""
    lines = [_difference(difference) for difference in comparison.differences.items]
    silent = comparison.differences.silent_before, comparison.differences.silent_now
    for count, side in zip(silent, (comparison.base.place, comparison.new.place), strict=True):
        if count:
            what = "did not record versions, settings and machine: their changes do not show"
            lines.append(f"{plural(count, 'run')} of {side} {what}")
    unread = [*comparison.base.unread, *comparison.new.unread]
    lines += [f"not read: {words.one_line(file)}" for file in unread[:_MAX_UNREAD]]
    if len(unread) > _MAX_UNREAD:
        lines.append(f"not read: {len(unread) - _MAX_UNREAD} more files")
    lines += [f"not made: {words.one_line(failure)}" for failure in comparison.new.failures]
    return lines


def _difference(difference: Difference) -> str:
    where = ""
    if difference.rows:
        more = f" and {len(difference.rows) - _MAX_ROWS} more rows" if len(difference.rows) > _MAX_ROWS else ""
        where = f" ({', '.join(difference.rows[:_MAX_ROWS])}{more})"
    return words.one_line(f"{difference.what}: {_counts(difference.before)}, now {_counts(difference.now)}{where}")


def _counts(values: Mapping[str, int]) -> str:
    """List the values, the most frequent first, with the number of runs of each if there are several."""
    every = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    if len(every) == 1:
        return words.abbreviated(every[0][0])
    shown = [f"{words.abbreviated(value)} ({plural(count, 'run')})" for value, count in every[:_MAX_VALUES]]
    return ", ".join(shown) + (f" and {len(every) - _MAX_VALUES} more" if len(every) > _MAX_VALUES else "")


def _alarms(comparison: Comparison) -> list[str]:
    """List what was violated, what regressed, and what was observed for the first time."""
    lines = []
    for figure in comparison.table.figures:
        if figure.violated:
            before = f"{figure.violated_before} of {len(figure.base.values)} before"
            lines.append(f"VIOLATED: {name_of(figure)} in {figure.violated} of {len(figure.new.values)} runs; {before}")
    compared = {figure.key for figure in comparison.table.figures}
    lines += [*_violated_alone(comparison, compared), *_violated_elsewhere(comparison)]
    lines += [
        f"REGRESSED: {name_of(figure)}: {_change(figure)}; p {_chance(figure.p)}" for figure in comparison.regressed
    ]
    lines += [_first_seen(figure) for figure in comparison.table.figures if figure.first_seen]
    return lines


def _violated_alone(comparison: Comparison, compared: Iterable[Key]) -> list[str]:
    """List violated figures for which there is no baseline."""
    skipped = set(compared)
    violations: Counter[Key] = Counter()
    for runs in comparison.chosen.new.values():
        violations.update(key for run in runs for key, figure in run.figures.items() if figure.violated)
    return [
        f"VIOLATED: {_name(key)} in {plural(count, 'run')}" for key, count in violations.items() if key not in skipped
    ]


def _violated_elsewhere(comparison: Comparison) -> list[str]:
    """List invalid runs without a violated figure: it was not measured, or the run proves nothing else."""
    weighed = (run for runs in comparison.chosen.new.values() for run in runs)
    violated_runs = {run.run_id for run in weighed if any(figure.violated for figure in run.figures.values())}
    rows = Counter(
        run.row
        for run in comparison.chosen.looked_at
        if run.state is State.VIOLATED and run.run_id not in violated_runs
    )
    what = "whose figures are not compared: see summary.md of its suite"
    return [f"VIOLATED: {row} in {plural(count, 'run')} {what}" for row, count in rows.items()]


def _first_seen(figure: ComparedFigure) -> str:
    runs, before = sum(value > 0 for value in figure.new.values), len(figure.base.values)
    most = words.counted(max(figure.new.values))
    return (
        f"first seen: {name_of(figure)}: up to {most} in {runs} of {len(figure.new.values)} runs,"
        f" none in {before} before; its row allows that, and so few may be chance"
    )


def _grids(comparison: Comparison, every: bool) -> list[Grid]:
    figures = (
        comparison.table.figures if every else [figure for figure in comparison.table.figures if not _is_flat(figure)]
    )
    return [_grid("every figure" if every else "every figure that differs between runs", figures)]


def _is_flat(figure: ComparedFigure) -> bool:
    """Return whether it is the same in every run before and now."""
    return len({*figure.base.values, *figure.new.values}) == 1


def _grid(title: str, figures: Sequence[ComparedFigure]) -> Grid:
    header = ("row", "figure", "runs", "before (± MAD)", "now (± MAD)", "change [95 %]", "result")
    rows, last = [], ""
    for figure in figures:
        row = "" if figure.key.row == last else figure.key.row
        last = figure.key.row
        runs = f"{len(figure.base.values)}, {len(figure.new.values)}"
        samples = (_sample(figure.base, figure.unit), _sample(figure.new, figure.unit))
        rows.append((row, _figure_name(figure), runs, *samples, _change(figure), _result(figure)))
    return Grid(title, header, tuple(rows), frozenset({0, 1, 6}))


def _result(figure: ComparedFigure) -> str:
    shown = figure.result.value
    if figure.result in _NOTABLE:
        shown = f"{shown.upper() if figure.result is Result.REGRESSED else shown} (p {_chance(figure.p)})"
    return f"{shown}, VIOLATED" if figure.violated else shown


def _sample(sample: Sample, unit: str) -> str:
    bound = "≥ " if sample.at_least else ""
    spread = f" ± {words.of_unit(sample.mad, unit)}" if sample.mad else ""
    return f"{bound}{words.of_unit(sample.median, unit)}{spread}"


def _change(figure: ComparedFigure) -> str:
    """Format a change, such as '+6.1 s (+30 %) [5.9, 6.4]'."""
    estimate, low, high = figure.change.estimate, figure.change.low, figure.change.high
    if _is_flat(figure):
        return words.NOTHING
    part = f" ({100 * estimate / abs(figure.base.median):+.0f} %)" if figure.base.median else ""
    certain = (
        words.NOTHING if low is None or high is None else f"{_signed(low, figure.unit)}, {_signed(high, figure.unit)}"
    )
    return f"{_signed(estimate, figure.unit)}{part} [{certain}]"


def _signed(value: float, unit: str) -> str:
    return f"{'+' if value > 0 else '-' if value < 0 else ''}{words.of_unit(abs(value), unit)}"


def _chance(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def name_of(figure: ComparedFigure) -> str:
    """Return the row and the figure's name."""
    return f"{figure.key.row}, {_figure_name(figure)}"


def _figure_name(figure: ComparedFigure) -> str:
    return words.of_figure(figure.key.property, figure.key.side, figure.key.route, figure.has_primary)


def _name(key: Key) -> str:
    return f"{key.row}, {words.of_figure(key.property, key.side, key.route)}"


def _ending(comparison: Comparison, every: bool) -> list[str]:
    """Explain how it was judged, and what could not be."""
    rate, least = 100 * comparison.rule.false_alarms, 100 * comparison.rule.min_change
    lines = [
        "If nothing changed and runs are independent, the chance of any false alarm in the whole table is at most"
        f" {rate:g} % (exact rank test, corrected for the number of figures that could raise one:"
        f" {comparison.table.tested})."
        f" A change of less than {least:g} % of the earlier median is ignored."
    ]
    flat = sum(_is_flat(figure) for figure in comparison.table.figures)
    if flat and not every:
        lines.append(f"The same in every run, and not shown (--all): {plural(flat, 'figure')}.")
    if comparison.chosen.filled:
        filled = plural(comparison.chosen.filled, "run")
        lines.append(f"Rows with too few new runs are judged with their newest runs before: {filled}.")
    lines += _too_few(comparison.table, comparison.rule.false_alarms)
    if comparison.chosen.doubtful:
        doubtful = plural(comparison.chosen.doubtful, "run")
        lines.append(f"Not counted, since they prove nothing, as their verdicts say: {doubtful}.")
    if comparison.table.only_new:
        before, now = ({run.run_id for run in runs} for runs in (comparison.base.runs, comparison.chosen.looked_at))
        hint = _NOTHING_LEFT if before and before <= now else ""
        lines.append(f"No run before: {_listed(comparison.table.only_new)}.{hint}")
    if comparison.table.only_before:
        lines.append(f"No run now: {_listed(comparison.table.only_before)}.")
    return lines


def _too_few(table: Table, rate: float) -> list[str]:
    few = [figure for figure in table.figures if figure.result is Result.TOO_FEW]
    if not few:
        return []
    wanted = [figure.enough for figure in few]
    need = max((size for size in wanted if size is not None), default=None)
    hint = (
        f"of each row at least {enough_of_each(rate)} are needed, before and now (caplab run --repeat)"
        if need is None or None in wanted
        else f"{need} new runs of each row would be enough"
    )
    return [f"Too few runs for that: {plural(len(few), 'figure')}; {hint}."]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_ROWS} more" if len(names) > _MAX_ROWS else ""
    return ", ".join(words.one_line(name) for name in names[:_MAX_ROWS]) + more


def _folded(lines: Iterable[str], mark: str, width: int) -> list[str]:
    wrapped = (
        textwrap.wrap(words.one_line(line), width, initial_indent=mark, subsequent_indent=" " * len(mark))
        for line in lines
    )
    return [part for line in wrapped for part in line]


def _difference_json(difference: Difference) -> dict[str, Json]:
    return {
        "what": difference.what,
        "base": dict(difference.before),
        "new": dict(difference.now),
        "rows": list(difference.rows),
    }


def _figure_json(figure: ComparedFigure) -> dict[str, Json]:
    return {
        "row": figure.key.row,
        "property": figure.key.property,
        "side": figure.key.side or None,
        "route": figure.key.route or None,
        "unit": figure.unit,
        "result": figure.result.value,
        "base": _sample_json(figure.base),
        "new": _sample_json(figure.new),
        "change": {
            "estimate": _finite(figure.change.estimate),
            "low": _finite(figure.change.low),
            "high": _finite(figure.change.high),
        },
        "p": figure.p,
        "violated": figure.violated,
        "violated_before": figure.violated_before,
        "first_seen": figure.first_seen,
        "runs_needed": figure.enough,
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
