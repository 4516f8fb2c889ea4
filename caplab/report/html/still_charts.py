"""The charts of a run as specifications with their own data: for SVG and PNG, where the page's script is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from caplab.model.fields import Json

from .. import words
from ..headline import headline
from ..values import RunReport
from .charts import specifications
from .history import HistoryView
from .stages import stages_json, stages_of

_WIDTH = 860  # pixels
_OUTCOMES = {"ok": "acknowledged", "fail": "failed", "info": "unknown"}
_LEAST_MS = 0.05  # of an axis without zero
_INTERACTIVE = ("params",)
_LONGEST = 80  # characters of a name in a legend
_LONGEST_RUN = 140  # of the run's, below the title


def still_charts(report: RunReport, view: HistoryView | None) -> dict[str, dict[str, Json]]:
    """Return the specification of each chart for which a run has data, by its name."""
    data: Mapping[str, Any] = view.data if view else {}
    rows: dict[str, Sequence[Json]] = {
        "operations": _operations(data["operations"], data["strips"]) if view else [],
        "latency": data.get("latency", []),
        "staleness": data.get("staleness", []),
        "stages": stages_json(stages_of(report)),
    }
    run = words.DOT.join((headline(report).title, report.run_id))
    return {name: _still(chart, rows[name], run) for name, chart in specifications().items() if rows[name]}


def _still(chart: Any, rows: Sequence[Json], run: str) -> dict[str, Json]:
    drawn = {name: part for name, part in chart.items() if name not in _INTERACTIVE}
    return {
        **drawn,
        "title": {
            "text": drawn["description"],
            "subtitle": words.cut(words.one_line(run), _LONGEST_RUN),
            "anchor": "start",
        },
        "width": _WIDTH,
        "autosize": "pad",  # fitted, the chart would leave no room for its title
        "background": "white",
        "data": {"values": [_plain(row) for row in rows]},
    }


def _plain(value: Json) -> Json:
    """Return a row with short texts of letters and signs alone: control characters end the library's process."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return words.cut(words.one_line(value), _LONGEST) if isinstance(value, str) else value


def _operations(columns: Mapping[str, Any], strips: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return a row for each operation that is drawn by itself; those that were never answered are on top."""
    top = 1.5 * max([10.0, *columns["ms"]])
    names = columns["words"]
    rows: list[Json] = []
    for place, seconds in enumerate(columns["t"]):
        named = {name: _word(names[name], columns[name][place]) for name in ("op", "server", "error", "outcome")}
        ms, strip = columns["ms"][place], columns["strip"][place]
        rows.append(
            {
                **named,
                "t": seconds,
                "ms": top if ms < 0 else max(ms, _LEAST_MS),
                "strip": strips[strip]["name"] if strip >= 0 else "",
                "outcome": _OUTCOMES[named["outcome"]],
            }
        )
    return rows


def _word(words: Sequence[str], code: int) -> str:
    return words[code] if 0 <= code < len(words) else ""
