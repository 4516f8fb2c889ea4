"""The charts of a run as Vega-Lite specifications: the same for every run, which only brings its own data."""

from __future__ import annotations

from collections.abc import Mapping

from caplab.model.fields import Json

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name: nothing is fetched
_OUTCOMES = {
    "domain": ["acknowledged", "failed", "unknown"], "range": ["#3d83c4", "#c8401a", "#8250df"],
}  # fmt: skip
_SHAPES = {"domain": _OUTCOMES["domain"], "range": ["circle", "cross", "triangle-up"]}
_SERIES = ["#3d83c4", "#c8401a", "#2e7d4f", "#8fb8de", "#e89b3a", "#8cc29f"]


def specifications() -> Mapping[str, Json]:
    """Return each chart by the name of its data."""
    return {"operations": _operations(), "latency": _latency(), "staleness": _staleness(), "stages": _stages()}


def _chart(description: str, height: int, **parts: Json) -> Json:
    return {
        "$schema": _SCHEMA,
        "description": description,
        "width": "container",
        "height": height,
        "data": {"name": "rows"},
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 10,
        **parts,
    }


def _field(name: str, kind: str, title: str, **more: Json) -> dict[str, Json]:
    return {"field": name, "type": kind, "title": title, **more}


def _log(name: str, title: str) -> dict[str, Json]:
    return _field(name, "quantitative", title, scale={"type": "log"}, axis={"format": "~g", "tickCount": 6})


def _operations() -> Json:
    """Draw each operation: when it was due, how long it took, what became of it; dragged and zoomed along the time."""
    tooltip: list[Json] = [
        _field("t", "quantitative", "seconds"),
        _field("ms", "quantitative", "milliseconds"),
        *(_field(name, "nominal", name) for name in ("outcome", "error", "op", "strip", "server")),
    ]
    return _chart(
        "Latency of single operations near the moments at which something changed, by their outcome",
        300,
        params=[{"name": "zoom", "select": {"type": "interval", "encodings": ["x"]}, "bind": "scales"}],
        mark={"type": "point", "filled": True, "size": 26, "opacity": 0.75},
        encoding={
            "x": _field("t", "quantitative", "seconds, as in the timeline"),
            "y": _log("ms", "latency in ms (never answered: on top)"),
            "color": _field("outcome", "nominal", "outcome", scale=_OUTCOMES, legend={"orient": "bottom"}),
            "shape": _field("outcome", "nominal", "outcome", scale=_SHAPES),
            "tooltip": tooltip,
        },
    )


def _latency() -> Json:
    return _chart(
        "Distribution of the latency of acknowledged operations before, during and after the fault",
        260,
        mark={"type": "line", "point": {"size": 14}, "interpolate": "step-after"},
        encoding={
            "x": _log("ms", "latency in ms, from the scheduled start"),
            "y": _log("share", "% that took at least as long"),
            "color": _field(
                "of",
                "nominal",
                "",
                sort=None,
                scale={"range": _SERIES},
                legend={"orient": "bottom", "columns": 2, "labelLimit": 0},
            ),
            "strokeDash": _field("of", "nominal", "", sort=None),
            "tooltip": [
                _field("of", "nominal", "of"),
                _field("share", "quantitative", "%"),
                _field("ms", "quantitative", "ms or longer"),
            ],
        },
    )


def _staleness() -> Json:
    return _chart(
        "Distribution of how far stale reads were behind",
        220,
        mark={"type": "line", "point": True, "interpolate": "step-after", "color": "#8250df"},
        encoding={
            "x": _log("ms", "behind by ms: since the first acknowledgement that the read missed"),
            "y": _log("share", "% of the stale reads, at least"),
            "tooltip": [_field("share", "quantitative", "%"), _field("ms", "quantitative", "ms or more")],
        },
    )


def _stages() -> Json:
    return _chart(
        "Where the time of the failover went",
        170,
        mark={"type": "bar", "height": 34},
        encoding={
            "x": _field("begin", "quantitative", "seconds since the injection"),
            "x2": {"field": "end"},
            "color": _field(
                "stage",
                "nominal",
                "",
                sort=None,
                scale={"range": _SERIES},
                legend={"orient": "bottom", "columns": 1, "labelLimit": 0},
            ),
            "tooltip": [_field("stage", "nominal", "until"), _field("seconds", "quantitative", "took s")],
        },
    )
