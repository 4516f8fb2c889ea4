"""What a mode keeps (PACELC): availability or consistency in a cut, and latency or consistency otherwise.

After Abadi, "Consistency tradeoffs in modern distributed database system design", Computer 45 (2), 2012. In a cut it is
measured: whether clients beside the minority were acknowledged writes for most of it. Otherwise it is what the rows
promise: a mode that may lose acknowledged writes, or return old data, answers before the members agree. Where old data
was read and no row says whether it may be, it is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from caplab.check.finding import Context
from caplab.model.expectations import Promise
from caplab.model.runs import MINORITY

from ..values import RunReport, nested, number

Mode = tuple[str, str]  # engine, mode
_OF_READS = frozenset({"stale", "staleBehind", "dirty", "readYourWrites", "monotonicReads", "notLinearizable"})
_ANOMALIES = _OF_READS | {"lost"}


@dataclass(frozen=True, slots=True)
class TradeOff:
    """Each is None if no run of the mode shows it."""

    available_in_a_cut: bool | None
    fast_otherwise: bool | None

    @property
    def short(self) -> str:
        """Such as 'PA/EL'; a question mark stands for what was not measured."""
        in_a_cut = {True: "PA", False: "PC", None: "P?"}[self.available_in_a_cut]
        return f"{in_a_cut}/{ {True: 'EL', False: 'EC', None: 'E?'}[self.fast_otherwise] }"

    @property
    def sentence(self) -> str:
        """Say the same in words."""
        in_a_cut = {
            True: "in a cut the minority acknowledged writes for most of it (availability)",
            False: "in a cut the minority soon acknowledged no more writes (consistency)",
            None: "no cut that left clients with a minority was measured here",
        }[self.available_in_a_cut]
        otherwise = {
            True: "otherwise its rows allow lost or old data (latency)",
            False: "otherwise its rows forbid lost and old data (consistency)",
            None: "no row here says whether old data may be read otherwise",
        }[self.fast_otherwise]
        return f"{in_a_cut}; {otherwise}"


def trade_offs(reports: Iterable[RunReport]) -> Mapping[Mode, TradeOff]:
    """Return the trade-off of each mode, from all runs of it."""
    by_mode: dict[Mode, list[RunReport]] = {}
    for report in reports:
        by_mode.setdefault((report.record.engine, report.record.mode), []).append(report)
    return {mode: TradeOff(_any(map(_in_a_cut, runs)), _otherwise(runs)) for mode, runs in by_mode.items()}


def _any(states: Iterable[bool | None]) -> bool | None:
    known = [state for state in states if state is not None]
    return any(known) if known else None


def _in_a_cut(report: RunReport) -> bool | None:
    """Return whether the minority was acknowledged writes for most of the cut; None if that was not measured."""
    context = Context.of(report.record)
    if not context.sides or context.injected_ns is None or context.healed_ns is None:
        return None
    if not report.is_conclusive("availability"):
        return None
    minority = nested(nested(report.figures("availability"), "by_side"), MINORITY)
    served = number(nested(minority, "all"), "writes_served_seconds")
    lasted = (context.healed_ns - context.injected_ns) / 1e9
    return None if served is None else served >= lasted / 2


def _otherwise(reports: Iterable[RunReport]) -> bool | None:
    """Return whether the rows allow lost or old data; None if no row says so of the old data that was read."""
    reports = list(reports)
    promises = [promise for report in reports for promise in _promises(report, _ANOMALIES)]
    if any(promise is not Promise.FORBIDDEN for promise in promises):
        return True
    unjudged = any(report.measured("staleness", "stale") and not _promises(report, _OF_READS) for report in reports)
    return None if unjudged or not promises else False


def _promises(report: RunReport, names: frozenset[str]) -> list[Promise]:
    judgements = report.verdict.judgements
    return [judgement.expected.promise for judgement in judgements if judgement.expected.property in names]
