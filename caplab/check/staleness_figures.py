"""The figures of staleness: of all reads, and by route, level, vantage and phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caplab.model.fields import Json
from caplab.model.history import Table

from .columns import Integers, Mask, codes, integers
from .finding import Context
from .series import UNNAMED

PHASES = ("before", "during", "after")  # the fault
_QUANTILES = (0.5, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Tally:
    """Reads, how many of them are stale, and how far these are behind: p50, p99, max in ms; None where none is."""

    reads: int
    stale: int
    behind_ms: tuple[float, float, float] | None
    versions_p50: int | None = None
    versions_max: int | None = None

    def to_json(self) -> dict[str, Json]:
        """As a row of figures."""
        p50, p99, most = self.behind_ms or (None, None, None)
        return {
            "reads": self.reads,
            "stale": self.stale,
            "fraction": self.stale / self.reads if self.reads else None,
            "behind_ms": {"p50": p50, "p99": p99, "max": most},
        }


def tally(stale: Mask, behind_ns: Integers, behind_versions: Integers) -> Tally:
    """Of all reads; behind is of the stale ones."""
    if not len(behind_ns):
        return Tally(len(stale), 0, None)
    p50, most = (int(value) for value in np.quantile(behind_versions, [0.5, 1.0], method="inverted_cdf"))
    return Tally(len(stale), len(behind_ns), _behind_ms(behind_ns), p50, most)


def by_label(history: Table, context: Context, rows: Integers, stale: Mask, behind_ns: Integers) -> dict[str, Json]:
    """by_route, by_level, by_vantage and by_phase: a row for each that has reads, sorted by name (phases by time)."""
    labels = {name: labelled(history, name, rows) for name in ("route", "level", "vantage")}
    labels["phase"] = (phases(integers(history, "invoke_ns", 0)[rows], context), PHASES)
    return {f"by_{name}": _rows(name, *labels[name], stale, behind_ns) for name in labels}


def labelled(history: Table, name: str, rows: Integers) -> tuple[Integers, Sequence[str]]:
    """Of these rows, a text column as indices into its words sorted by name; null is UNNAMED."""
    code, words = codes(history, name)
    words = (*words, UNNAMED)
    order = sorted(range(len(words)), key=words.__getitem__)
    place = np.empty(len(words), dtype=np.int64)
    place[order] = np.arange(len(words))
    return place[code[rows]], [words[one] for one in order]


def phases(invoke_ns: Integers, context: Context) -> Integers:
    """Each moment's place in PHASES; without a fault all are before."""
    edges = [edge for edge in (context.injected_ns, context.healed_ns) if edge is not None]
    return np.searchsorted(np.array(edges, dtype=np.int64), invoke_ns, side="right")


def _rows(name: str, label: Integers, words: Sequence[str], stale: Mask, behind_ns: Integers) -> list[Json]:
    reads, label_of_stale = np.bincount(label, minlength=len(words)), label[stale]
    rows: list[Json] = []
    for number in np.flatnonzero(reads).tolist():
        behind = behind_ns[label_of_stale == number]
        told = Tally(int(reads[number]), len(behind), _behind_ms(behind) if len(behind) else None)
        rows.append({name: words[number], **told.to_json()})
    return rows


def _behind_ms(behind_ns: Integers) -> tuple[float, float, float]:
    p50, p99, most = (float(value) / 1e6 for value in np.quantile(behind_ns, _QUANTILES, method="inverted_cdf"))
    return p50, p99, most
