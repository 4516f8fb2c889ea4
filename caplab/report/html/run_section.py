"""The section of one run: what happened in a sentence, what was done, the timeline, every figure, how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from caplab.check.finding import State
from caplab.model.fields import Json

from .. import brief, prose, words
from ..cache_tables import cache_sentence, readers_and_loads
from ..grid import Grid
from ..headline import headline, lasting
from ..judged import predicted_beside_measured, reasons
from ..tables import latencies, vantages_and_routes
from ..values import RunReport, listed, nested, number
from .anomalies import MOST
from .history import HistoryView
from .markup import Markup, element, folded, joined, table
from .overview import badge
from .stages import Stage, stages_of
from .values import RunPage
from .yearly import budgets, duration, percent

_KINDS = {  # one, and several
    "lost": ("acknowledged write that was lost", "acknowledged writes that were lost"),
    "stale": ("stale read", "stale reads"),
    "two-primaries": ("split-brain write", "split-brain writes"),
}
_KEYS = (
    "Zoom with the buttons, or with plus and minus; move with the arrow keys, or by dragging. 0 shows everything again,"
    " n and p go to the next and previous marked operation, and Enter opens it."
)

_DENOMINATORS = (
    "Lost writes are counted among the adds that were acknowledged, since the final scan looks for these;"
    " split-brain writes among all acknowledged writes."
)


def section(number: int, page: RunPage, count: int) -> Markup:
    """Build the section of a run of so many; what the page's script draws is added to its figures later."""
    report = page.report
    parts = (
        _head(number, page, count),
        _done(page),
        _timeline(page),
        _judged(report),
        _operations(number, page.view),
        _chart("raw", "Single operations", _raw_caption(page.view), "operations", page.view),
        _failover(report, stages_of(report)),
        _phases(report, page.view),
        _staleness(report, page.view),
        _yearly(report),
        _facts(page),
    )
    return element("article", parts, id=f"run-{number}", class_=f"run {report.verdict.state.value}", tabindex=-1)


def _head(number: int, page: RunPage, count: int) -> Markup:
    report = page.report
    told = headline(report)
    wrong = [element("li", reason) for reason in reasons(report)]
    why = {State.VIOLATED: "What was not as promised:", State.UNKNOWN: "Why it proves nothing:"}
    return joined(
        element("nav", _ways(number, count), aria_label="runs"),
        element("h1", told.title),
        element("p", badge(report.verdict.state), " ", element("strong", told.cost), class_="headline"),
        element("p", _sentence(told.served), class_="headline") if told.served else Markup(""),
        joined(element("p", why.get(report.verdict.state, "")), element("ul", wrong)) if wrong else Markup(""),
        element("p", words.DOT.join((f"run {number}", report.name, report.run_id)), class_="muted"),
    )


def _sentence(part: str) -> str:
    return f"{part[:1].upper()}{part[1:]}."


def _ways(number: int, count: int) -> Iterator[str]:
    yield element("a", "all runs", href="#overview")
    for other, name in ((number - 1, "previous run"), (number + 1, "next run")):
        if 1 <= other <= count:
            yield joined(words.DOT, element("a", name, href=f"#run-{other}"))


def _done(page: RunPage) -> Markup:
    """Build the experiment's own description, each fault in a line, and the evidence folded below."""
    report = page.report
    evidence = [
        folded(
            f"evidence of the {window.kind} of {window.target}",
            element("ul", (element("li", words.one_line(line)) for line in window.evidence)),
        )
        for window in report.record.fault_windows
        if window.evidence
    ]
    notes = [*brief.faults(report.record), cache_sentence(report), prose.second_clock(report), prose.own_copies(report)]
    items = (element("li", note) for note in notes if note)
    described = element("p", words.one_line(page.description)) if page.description else Markup("")
    return joined(element("h2", "What was done"), described, element("ul", items), evidence)


def _timeline(page: RunPage) -> Markup:
    if page.view is None:
        return joined(element("h2", "What clients saw"), element("p", f"There is no picture: {page.problem}"))
    buttons = (
        element("button", label, type="button", data_do=name, title=title)
        for name, label, title in (
            ("in", "+", "zoom in"), ("out", "-", "zoom out"), ("left", "←", "earlier"),
            ("right", "→", "later"), ("all", "all", "show all"), ("previous", "previous mark", "go to the mark before"),
            ("next", "next mark", "go to the next mark"),
        )
    )  # fmt: skip
    return joined(
        element("h2", "What clients saw"),
        element("div", buttons, class_="tools", role="group", aria_label="timeline"),
        element(
            "div", Markup(page.view.picture), class_="timeline", tabindex=0, role="group",
            aria_label="timeline: what clients in each zone saw over time", aria_describedby="keys",
        ),
        element("p", "Point at the picture, or tap it, to read it.", class_="readout", aria_live="polite"),
        element("p", _KEYS, class_="muted", id="keys"),
    )  # fmt: skip


def _judged(report: RunReport) -> Markup:
    judged = {judgement.expected.property for judgement in report.verdict.judgements}
    note = element("p", _DENOMINATORS, class_="muted") if judged >= {"lost", "twoPrimaries"} else Markup("")
    return joined(element("h2", "Promised and measured"), _grid(predicted_beside_measured(report)), note)


def _grid(grid: Grid) -> Markup:
    if not grid.rows:
        return Markup("")
    header = [cell.replace("\n", " ") or "verdict" for cell in grid.header]
    return table(header, grid.rows, grid.title, sorted(grid.texts))


def _operations(number: int, view: HistoryView | None) -> Markup:
    """Build the place of the list of anomalies, which the page's script fills from the run's data."""
    if view is None:
        return Markup("")
    title = element("h2", "Operations that went wrong", id=f"run-{number}-operations")
    counts = {kind: count for kind, count in view.counts.items() if count}
    if not counts:
        return joined(title, element("p", "No acknowledged write was lost, no read was stale, no two primaries wrote."))
    shown = words.DOT.join(f"{words.counted(count)} {_KINDS[kind][count > 1]}" for kind, count in counts.items())
    cut = [kind for kind, count in counts.items() if count > MOST]
    more = f" Of each kind the first {MOST:,} are listed; history.parquet has all." if cut else ""
    return joined(title, element("p", f"{shown}.{more}"), element("div", class_="anomalies"))


def _raw_caption(view: HistoryView | None) -> str:
    if view is None:
        return ""
    shown, candidates = view.raw
    which = "within 1 s of what changed (the injection, the heal, the end of the outage), and all that failed"
    thinned = f", thinned from {candidates:,}" if candidates > shown else ""
    return f"{shown:,} operations{thinned}: those {which}. Everything else is in the picture above, as totals."


def _chart(name: str, title: str, caption: str, data: str, view: HistoryView | None) -> Markup:
    """Build the place of a chart, which the page's script draws."""
    if view is None or not view.data.get(data):
        return Markup("")
    return joined(
        element("h2", title),
        element("figure", element("div", class_="chart", data_chart=data), element("figcaption", caption), class_=name),
    )


def _failover(report: RunReport, stages: list[Stage]) -> Markup:
    if not stages:
        return Markup("")
    rows = [
        (
            f"until {stage.until}",
            words.seconds(stage.end_seconds - stage.begin_seconds),
            words.seconds(stage.end_seconds),
        )
        for stage in stages
    ]
    return joined(
        element("h2", "Where the time went"),
        element("figure", element("div", class_="chart", data_chart="stages")),
        table(("what", "took", "since the injection"), rows, "from the injection on"),
        element("p", prose.stages(report), class_="muted"),
    )


def _phases(report: RunReport, view: HistoryView | None) -> Markup:
    grids = (vantages_and_routes, latencies, readers_and_loads)
    return joined(
        element("h2", "By phase"),
        element("figure", element("div", class_="chart", data_chart="latency")) if view else Markup(""),
        (_grid(grid(report)) for grid in grids),
        element("p", prose.instrument(report), class_="muted"),
    )


def _staleness(report: RunReport, view: HistoryView | None) -> Markup:
    figures = report.figures("staleness")
    rows = [
        (
            str(row.get("route")), words.counted(number(row, "reads") or 0), words.counted(number(row, "stale") or 0),
            *(_milliseconds(nested(row, "behind_ms").get(name)) for name in ("p50", "p99", "max")),
        )
        for row in listed(figures, "by_route")
    ]  # fmt: skip
    if not rows:
        return Markup("")
    chart = element("figure", element("div", class_="chart", data_chart="staleness"))
    drawn = chart if view and view.data["staleness"] else Markup("")
    header = ("route", "reads", "stale", "behind p50", "p99", "max")
    return joined(element("h2", "How stale reads were"), drawn, table(header, rows, "stale reads by route"))


def _milliseconds(value: Json) -> str:
    return words.NOTHING if not isinstance(value, int | float) else words.milliseconds([value / 1e3])


def _yearly(report: RunReport) -> Markup:
    outage = headline(report).outage
    if outage is None:
        return Markup("")
    title, seconds, at_least = element("h2", "As a yearly budget"), outage.seconds, outage.at_least
    if not seconds:
        return joined(title, element("p", "Clients were served throughout: a fault like this one uses none of it."))
    rows = [
        (percent(budget.target), duration(budget.seconds), words.counted(budget.outages or 0))
        for budget in budgets(seconds)
    ]
    lasted = f"{'at least ' if at_least else ''}{words.seconds(seconds)}"
    caption = f"how many faults like this one, of {lasted} each, {'at most ' if at_least else ''}fit into a year"
    made = table(("availability", "downtime allowed", "faults per year"), rows, caption)
    return joined(title, made, (element("p", note) for note in (_later(report), _lost_each_time(report)) if note))


def _later(report: RunReport) -> str:
    """Say what the budget leaves out; '' if clients were served from then on."""
    judged = headline(report).sides.judged
    if judged is None or judged.later is None:
        return ""
    return f"It leaves out that writes were not served {lasting(judged.later)} after the heal."


def _lost_each_time(report: RunReport) -> str:
    """Warn that a fault costs more than time; '' if no acknowledged write was lost."""
    lost, acked = (report.measured("durability", name) for name in ("lost", "acked"))
    if not lost or not acked:
        return ""
    counts = f"{words.counted(lost)} of {words.counted(acked)} acknowledged writes"
    return f"Downtime is not the only cost: this fault lost {counts}, and each one like it may lose as many."


def _facts(page: RunPage) -> Markup:
    record = page.report.record
    versions = [*record.versions.items(), *((f"image {name}", image) for name, image in record.images.items())]
    specs = json.dumps(record.specs, indent=1, default=str)
    repeat = (
        element("pre", element("code", page.command), tabindex=0, role="region", aria_label="command")
        if page.command
        else element("p", f"Not known: the suite's plan is gone. The seed was {record.seed}.")
    )
    return joined(
        element("h2", "Settings in force"),
        table(("setting", "value"), _named(record.settings), "as read back from what ran", (0, 1)),
        element("h2", "Versions"),
        table(("what", "version"), versions, "what ran", (0, 1)),
        folded("specifications", element("pre", specs, tabindex=0, role="region", aria_label="specifications")),
        element("h2", "Repeat it"),
        element("p", f"seed {record.seed}"),
        repeat,
    )


def _named(settings: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        yield name, value if isinstance(value, str) else json.dumps(value, default=str)
