"""The figures of staleness: of all reads, of some of them, and by route, level, vantage and phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from caplab.check.columns import Integers, Mask, integers
from caplab.check.finding import Context
from caplab.check.series import labelled
from caplab.model.fields import Json
from caplab.model.history import Table

PHASES = ("before", "during", "after")  # the fault
_QUANTILES = (0.5, 0.99, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedReads:
    """The ok reads of ordered keys by their rows, each judged: those of Versions.reads, then the unexpected ones.

    behind and missed_row, the row of the first ack that it missed, are of the stale ones only. missing_lost and dirty
    None: there is no final scan to judge by.
    """

    row: Integers
    phase: Integers  # each one's place in PHASES, by invocation
    stale: Mask
    missing_lost: Mask | None
    dirty: Mask | None
    behind_ns: Integers
    behind_versions: Integers
    missed_row: Integers

    @property
    def marks(self) -> Mapping[str, Mask | None]:
        """What is counted beside the stale reads, by the figure's name."""
        in_fault = self.stale & (self.phase == PHASES.index("during"))
        return {"stale_in_fault": in_fault, "missing_lost": self.missing_lost, "dirty": self.dirty}


def figures_of(judged: JudgedReads, which: Mask) -> dict[str, Json]:
    """Compute the figures of some of the reads."""
    counts = {name: None if mask is None else int((mask & which).sum()) for name, mask in judged.marks.items()}
    return _figures(int(which.sum()), judged.behind_ns[which[judged.stale]], counts)


def by_label(history: Table, judged: JudgedReads) -> dict[str, Json]:
    """Compute by_route, by_level, by_vantage and by_phase: sorted rows for all that have reads."""
    labels = {name: labelled(history, name, judged.row) for name in ("route", "level", "vantage")}
    labels["phase"] = (judged.phase, PHASES)
    return {f"by_{name}": _rows(name, *labels[name], judged) for name in labels}


def phases(history: Table, rows: Integers, context: Context) -> Integers:
    """Return each row's place in PHASES, by invocation; without a fault all are before."""
    edges = [edge for edge in (context.injected_ns, context.healed_ns) if edge is not None]
    return np.searchsorted(np.array(edges, dtype=np.int64), integers(history, "invoke_ns", 0)[rows], side="right")


def behind_versions(judged: JudgedReads) -> dict[str, Json]:
    """Compute how many acked versions stale reads missed: p50 and max; None if none is stale."""
    if not len(judged.behind_versions):
        return {"p50": None, "max": None}
    p50, most = np.quantile(judged.behind_versions, [0.5, 1.0], method="inverted_cdf")
    return {"p50": int(p50), "max": int(most)}


def _rows(name: str, label: Integers, words: Sequence[str], judged: JudgedReads) -> list[Json]:
    # Counted for all labels at once: a user's history may have thousands.
    reads, label_of_stale = np.bincount(label, minlength=len(words)), label[judged.stale]
    marked = {
        mark: None if mask is None else np.bincount(label[mask], minlength=len(words))
        for mark, mask in judged.marks.items()
    }
    rows: list[Json] = []
    for number in np.flatnonzero(reads).tolist():
        counts = {mark: None if count is None else int(count[number]) for mark, count in marked.items()}
        behind_ns = judged.behind_ns[label_of_stale == number]
        rows.append({name: words[number], **_figures(int(reads[number]), behind_ns, counts)})
    return rows


def _figures(reads: int, behind_ns: Integers, counts: Mapping[str, int | None]) -> dict[str, Json]:
    """Build a row of figures; behind_ns is that of the stale reads."""
    behind_ms: dict[str, Json] = {"p50": None, "p99": None, "max": None}
    if len(behind_ns):
        quantiles = np.quantile(behind_ns, _QUANTILES, method="inverted_cdf")
        behind_ms = {name: float(value) / 1e6 for name, value in zip(behind_ms, quantiles, strict=True)}
    return {
        "reads": reads,
        "stale": len(behind_ns),
        "fraction": len(behind_ns) / reads if reads else None,
        "behind_ms": behind_ms,
        "max_behind_seconds": int(behind_ns.max(initial=0)) / 1e9,
        **counts,
    }
