"""A run in a few lines: what was done, promised beside measured, and the worst vantage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from caplab.check.finding import State
from caplab.model.expectations import Promise
from caplab.model.runs import CONTROL, FaultWindow, RunRecord
from caplab.verdict import Judgement

from . import words
from .grid import Grid
from .headline import NO_COST
from .judged import mark, measured, predicted
from .values import Figures, RunReport, is_lower_bound, listed, number, text

_MOST_FAULTS = 2  # lines
_MOST_TARGETS = 4
_LONGEST = 150  # characters of a fault


def faults(record: RunRecord) -> list[str]:
    """Describe the faults, a sentence for each kind; the evidence itself is in run.json."""
    if not record.fault_windows:
        return ["no fault: a control run"] if record.fault == CONTROL else [f"no fault: no {record.fault} is recorded"]
    by_kind: dict[str, list[FaultWindow]] = {}
    for window in record.fault_windows:
        by_kind.setdefault(window.kind, []).append(window)
    sentences = [_fault(kind, windows, record) for kind, windows in by_kind.items()]
    more = len(sentences) - _MOST_FAULTS
    return sentences if more <= 0 else [*sentences[:_MOST_FAULTS], f"and faults of {words.counted(more)} more kinds"]


def _fault(kind: str, windows: list[FaultWindow], record: RunRecord) -> str:
    targets = list(dict.fromkeys(window.target for window in windows))
    named = ", ".join(targets[:_MOST_TARGETS])
    more = len(targets) - _MOST_TARGETS
    begun = min(window.injected_ns for window in windows)
    ends = [window.healed_ns for window in windows if window.healed_ns is not None]
    lasted = f"for {words.short_seconds((max(ends) - begun) / 1e9)}" if len(ends) == len(windows) else "not healed"
    proof = "proven" if all(window.proven for window in windows) else "NO EVIDENCE that it was live"
    what = f"{kind} of {named}{f' and {more} more' if more > 0 else ''}"
    parts = (what, f"at {words.wall_time(begun, record.wall_anchor)}", lasted, proof)
    return words.cut(words.one_line(words.DOT.join(parts)), _LONGEST)


def essentials(report: RunReport) -> Grid:
    """Build the rows that tell something: what does not hold first; what must be, or is bounded; what was seen."""
    telling = [judgement for judgement in report.verdict.judgements if not _is_silent(judgement)]
    telling.sort(key=lambda judgement: judgement.state is State.HOLDS)
    rows = tuple(_row(judgement, report) for judgement in telling)
    return Grid("promised beside measured", ("property", "promised", "measured", ""), rows, frozenset({0, 1, 2, 3}))


def _row(judgement: Judgement, report: RunReport) -> tuple[str, ...]:
    return (
        _name(judgement, report.record),
        _short(predicted(judgement)),
        _short(measured(judgement)),
        mark(judgement, report),
    )


def none_of(report: RunReport) -> str:
    """Name what was forbidden and did not happen; '' if nothing was."""
    silent = [judgement for judgement in report.verdict.judgements if _is_silent(judgement)]
    forbidden = [judgement for judgement in silent if judgement.expected.promise is Promise.FORBIDDEN]
    names = dict.fromkeys(_name(judgement, report.record) for judgement in forbidden)
    seen = "none seen, which proves nothing" if report.verdict.state is State.UNKNOWN else "none, as promised"
    return f"{seen}: {', '.join(names)}" if names else ""


def _is_silent(judgement: Judgement) -> bool:
    """Return whether a judgement tells nothing: of what may not be and was not, or what may be and costs nothing."""
    if judgement.state is not State.HOLDS or judgement.expected.promise not in (Promise.FORBIDDEN, Promise.POSSIBLE):
        return False
    is_incidental = judgement.expected.promise is Promise.POSSIBLE and judgement.expected.property in NO_COST
    return is_incidental or not judgement.measured


def _name(judgement: Judgement, record: RunRecord) -> str:
    return words.of_expected(judgement.expected, record.has_primary)


def _short(text: str) -> str:
    """Leave out a budget's expression, and the rule of three."""
    return text.split("  (", maxsplit=1)[0].split(" (<", maxsplit=1)[0]


def worst_vantage(report: RunReport) -> str:
    """Describe the vantage that was worst off: the longest not served, or the one that lost most; '' if not known."""
    if not report.is_conclusive("availability"):
        return ""
    parts = [_longest_outage(report)]
    lost = _lost_by_vantage(report) if report.is_conclusive("durability") else {}
    most = max(lost, key=lambda vantage: lost[vantage][0], default="")
    if most and lost[most][0]:
        count, acked = lost[most]
        zone = "it" if parts[0].startswith(f"zone {most}, ") else f"zone {most}"
        parts.append(f"{zone} lost {words.counted(count)} of {words.counted(acked)} acked writes")
    parts = list(filter(None, parts))
    return words.one_line(f"worst vantage: {'; '.join(parts) or 'none, no zone had an outage'}")


def _longest_outage(report: RunReport) -> str:
    """Name the zone that was served again last or, if the fault interrupted none, the one with the most outages."""
    figures = report.figures("availability")
    zone, seconds = text(figures, "worst_vantage"), number(figures, "failover_seconds")
    if seconds:
        again = "not served again within" if is_lower_bound(figures, "failover_seconds") else "served again after"
        return f"zone {zone}, {again} {words.short_seconds(seconds)}{_which(figures, zone, seconds)}"
    outages = Counter[str]()
    for row in listed(figures, "series"):
        outages[text(row, "vantage")] += len(listed(row, "outages"))
    if not (total := outages.total()):
        return ""
    worst, count = outages.most_common(1)[0]
    return f"zone {worst}, {words.counted(count)} of {words.counted(total)} outages"


def _which(figures: Figures, zone: str, seconds: float) -> str:
    """Name the operation and route of a zone that took so long, such as ' (add, direct)'; '' if it is not known."""
    of_zone = [row for row in listed(figures, "series") if text(row, "vantage") == zone]
    longest = next((row for row in of_zone if number(row, "failover_seconds") == seconds), None)
    return "" if longest is None else f" ({text(longest, 'op')}, {words.of_route(text(longest, 'route'))})"


def _lost_by_vantage(report: RunReport) -> dict[str, tuple[int, int]]:
    """Return how many writes each vantage lost, of how many that were acked, by all routes."""
    by_vantage: dict[str, tuple[int, int]] = {}
    for row in listed(report.figures("durability"), "by_vantage"):
        lost, acked = by_vantage.get(text(row, "vantage"), (0, 0))
        counts = (lost + int(number(row, "lost") or 0), acked + int(number(row, "acked") or 0))
        by_vantage[text(row, "vantage")] = counts
    return by_vantage


def more_reasons(reasons: Iterable[str]) -> str:
    """Say how many reasons there are beside the headline's; '' if there are none."""
    count = len(tuple(reasons)) - 1
    return f"and {words.counted(count)} more reason{'' if count == 1 else 's'} (--verbose)" if count > 0 else ""
