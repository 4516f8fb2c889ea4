"""The table of all runs: what was promised and what happened, a row for each, with filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from caplab.check.finding import State
from caplab.model.runs import CONTROL, RunRecord
from caplab.verdict import Judgement

from .. import words
from ..headline import RunHeadline, headline, lasting, who
from ..judged import measured, predicted
from ..values import RunReport
from .markup import Markup, element, folded, joined, scrolled
from .trade_offs import Mode, TradeOff, trade_offs
from .values import RunPage, SuitePage

NOT_MEASURED = "not measured"
_STATES = (State.HOLDS, State.VIOLATED, State.UNKNOWN)
_SIGNS: Mapping[State, str] = {State.HOLDS: "✓", State.VIOLATED: "✗", State.UNKNOWN: "?"}
# The properties of each column, the first that a row names is shown.
_OUTAGE = ("failoverTime", "writeOutage", "readOutage", "timeToRecover", "outages", "unackedShare")
_LOST, _STALE = ("lost",), ("stale", "staleBehind", "dirty", "missingLost")
_WORDS: Mapping[str, str] = {
    "as promised, promise broken": "what the row of the CAP table says of these settings and this fault held, or not",
    "not proven": "the run proves nothing, whatever was measured; its page says why",
    "not served for": "the clients that the row judges: in a cut those on the side of the majority, as a rule",
    "forbidden": "it must not happen; once is enough to break the promise",
    "must show": "a cost that these settings are known to have; a run that does not show it proves nothing",
    "≤, ≥": "at most, or at least, so much: by the settings that were in force",
    "possible": "it may happen, and breaks nothing",
    "not judged": "it was measured, and the row of this experiment says nothing of it",
    "unproven": "measured as promised, in a run that proves nothing",
}
_MOST_PROMISES = 3  # in a cell
_HEADER = ("verdict", "what was done", "not served for", "acked writes lost", "stale reads", "PACELC")


def badge(state: State) -> Markup:
    """Show a verdict by sign, word and colour."""
    sign = element("span", _SIGNS[state], aria_hidden="true")
    return element("span", sign, " ", words.of_verdict(state), class_=f"badge {state.value}")


def overview(page: SuitePage) -> Markup:
    """Build the head of the page, the filters and the table."""
    reports = [run.report for run in page.runs]
    trades = trade_offs(reports)
    rows = [_row(number, run, trades) for number, run in enumerate(page.runs, 1)]
    rows += [_without_verdict(name, why) for name, why in page.without_verdict]
    return element(
        "section",
        element("h1", f"What was promised, and what happened: {page.suite}"),
        _tally(reports, len(page.without_verdict)),
        element("p", words.DOT.join(filter(None, (page.machine, page.made))), class_="muted"),
        _filters(reports),
        _table(rows),
        _words(),
        _explained(trades),
        id="overview",
    )


def _tally(reports: Sequence[RunReport], missing: int) -> Markup:
    """Count the runs by verdict, as a bar and in words."""
    counts = Counter(report.verdict.state for report in reports)
    parts = [(state.value, counts[state], words.of_verdict(state).lower()) for state in _STATES if counts[state]]
    parts += [("missing", missing, "without a verdict")] if missing else []
    bar = (element("span", class_=f"part {name}", style=f"flex-grow:{count}") for name, count, _ in parts)
    shown = (
        element("span", element("b", f"{count:,}"), " ", word, class_=f"count {name}") for name, count, word in parts
    )
    return joined(
        element("div", bar, class_="bar", aria_hidden="true"),
        element("p", [piece for one in shown for piece in (one, " ")], class_="tally"),
    )


def _filters(reports: Sequence[RunReport]) -> Markup:
    """Build the choices of what is shown; the page's script reads them."""
    engines = dict.fromkeys(report.record.engine for report in reports)
    faults = sorted({report.record.fault for report in reports})
    verdicts = {state.value: words.of_verdict(state).lower() for state in _STATES}
    return element(
        "form",
        _choice("engine", {name: name for name in engines}),
        _choice("fault", {name: name for name in faults}),
        _choice("verdict", verdicts),
        element("output", id="shown", aria_live="polite"),
        class_="filters",
        id="filters",
    )


def _choice(name: str, values: Mapping[str, str]) -> Markup:
    every = [element("option", "all", value="")]
    every += [element("option", shown, value=value) for value, shown in values.items()]
    return element("label", name, " ", element("select", every, name=name))


def _table(rows: Sequence[Markup]) -> Markup:
    head = element(
        "tr",
        (element("th", element("button", title, type="button"), scope="col", aria_sort="none") for title in _HEADER),
    )
    body = element("tbody", rows)
    caption = element("caption", "A row for each run; in small print, what its row of the CAP table promises")
    made = element("table", caption, element("thead", head), body, id="runs", class_="cards")
    return scrolled(made, "runs")


def _row(number: int, page: RunPage, trades: Mapping[Mode, TradeOff]) -> Markup:
    report = page.report
    record, state = report.record, report.verdict.state
    trade = trades[record.engine, record.mode]
    told, keys = headline(report), words.DOT.join((record.engine, record.mode, record.fault))
    why = element("small", element("b", told.cost)) if state is not State.HOLDS else Markup("")
    link = f"#run-{number}"
    marked = f"{link}-operations" if page.view and page.view.data["marks"] else ""
    cells = (
        _cell("verdict", badge(state), _STATES.index(state)),
        _cell("what was done", joined(element("a", told.title, href=link), " ", why, element("small", keys)), keys),
        _figure(
            "not served for",
            report,
            _of_outage(report, told),
            _outage(report, told),
            notes=_other_clients(report, told),
        ),
        _figure("acked writes lost", report, _judged(report, _LOST), _lost(report), marked),
        _figure("stale reads", report, _judged(report, _STALE), _stale(report), marked),
        _cell("PACELC", element("abbr", trade.short, title=trade.sentence), trade.short),
    )
    return element(
        "tr", cells, data_engine=record.engine, data_fault=record.fault, data_verdict=state.value, class_=state.value
    )


def _without_verdict(name: str, why: str) -> Markup:
    sign = element("span", "no verdict", class_="badge missing")
    rest = element("td", element("b", name), " ", element("span", why, class_="muted"), colspan=5)
    return element(
        "tr", element("td", sign, data_sort="9", data_label="verdict"), rest,
        data_engine="", data_fault="", data_verdict="", class_="missing",
    )  # fmt: skip


def _cell(label: str, content: str, key: str | float) -> Markup:
    return element("td", content, data_label=label, data_sort=key)


def _figure(
    label: str,
    report: RunReport,
    judged: Sequence[Judgement],
    shown: tuple[str, float | None],
    link: str = "",
    notes: Sequence[Markup] = (),
) -> Markup:
    """Build a cell: what was measured, and below it what was promised of it."""
    figure, value = shown
    wrong = any(each.state is State.VIOLATED for each in judged)
    strong = element("span", figure, class_="figure wrong" if wrong else "figure muted" if value is None else "figure")
    content = element("a", strong, href=link) if link and value else strong
    promises = [element("small", _promise(each, report.record, value)) for each in judged[:_MOST_PROMISES]]
    if not judged and value:
        promises = [element("small", "not judged")]
    return _cell(label, joined(content, " ", *promises, *notes), -1 if value is None else value)


def _judged(report: RunReport, properties: Iterable[str]) -> list[Judgement]:
    """Return what the row judges of the first property that it names: overall, or on each side."""
    for name in properties:
        of_property = [each for each in report.verdict.judgements if each.expected.property == name]
        overall = [each for each in of_property if each.expected.side is None]
        wrong = [each for each in of_property if each.state is State.VIOLATED]
        if of_property:
            return wrong or overall or of_property
    return []


def _of_outage(report: RunReport, told: RunHeadline) -> list[Judgement]:
    """Return the longest time that the row judges of the clients whose outage the cell shows."""
    judged_side = told.sides.judged
    every = [each for name in _OUTAGE for each in report.verdict.judgements if each.expected.property == name]
    of_side = [each for each in every if judged_side and (each.expected.side or "") == judged_side.side] or every
    wrong = [each for each in of_side if each.state is State.VIOLATED]
    return wrong[:1] or sorted(of_side, key=lambda each: each.measured or 0, reverse=True)[:1]


def _other_clients(report: RunReport, told: RunHeadline) -> list[Markup]:
    """Tell of the clients on the other side of a cut, and of an outage after the fault's end."""
    sides = told.sides
    notes = []
    if sides.judged and sides.judged.later:
        notes.append(f"after the heal no writes {lasting(sides.judged.later)}")
    if sides.judged and sides.other:
        lasted = words.seconds(sides.other.outage.seconds, sides.other.outage.at_least)
        notes.append(f"{who(sides.other, report.record)}: {lasted if sides.other.outage.seconds else 'none'}")
    return [element("small", note) for note in notes]


def _promise(judgement: Judgement, record: RunRecord, shown: float | None) -> str:
    """Say what was promised, with the figure that it is about where the cell shows another."""
    said = predicted(judgement).split("  (")[0]
    if judgement.expected.side and judgement.expected.property in ("lost", "stale"):
        return f"on the {judgement.expected.side} {measured(judgement).split(' (<')[0]}: {said}"
    if judgement.expected.side or judgement.expected.property not in ("lost", "stale", "failoverTime", "writeOutage"):
        name = words.of_expected(judgement.expected, record.has_primary)
        if judgement.measured is None:
            return f"{name}: not measured"
        return f"{name}: {said}" if judgement.measured == shown else f"{name}: {measured(judgement)}, {said}"
    return said


def _outage(report: RunReport, told: RunHeadline) -> tuple[str, float | None]:
    """Show the outage of the clients that the row judges."""
    outage = told.outage
    if outage is None:
        return _without_fault(report)
    if not outage.seconds:
        return "none", 0.0
    return words.seconds(outage.seconds, outage.at_least), outage.seconds


def _without_fault(report: RunReport) -> tuple[str, float | None]:
    outages = report.measured("availability", "outages")
    if outages is None or report.record.fault != CONTROL:
        return NOT_MEASURED, None
    return f"{words.counted(outages)} outages" if outages else "none", outages


def _lost(report: RunReport) -> tuple[str, float | None]:
    lost, acked = (report.measured("durability", name) for name in ("lost", "acked"))
    return _count(lost, acked)


def _stale(report: RunReport) -> tuple[str, float | None]:
    stale, reads = (report.measured("staleness", name) for name in ("stale", "reads"))
    return _count(stale, reads)


def _count(count: float | None, of: float | None) -> tuple[str, float | None]:
    if count is None or of is None:
        return NOT_MEASURED, None
    return f"{words.counted(count)} of {words.counted(of)}", count


def _words() -> Markup:
    """Explain what the small print says."""
    items = (element("li", element("b", word), f": {meaning}") for word, meaning in _WORDS.items())
    return folded("what the words mean", element("ul", items))


def _explained(trades: Mapping[Mode, TradeOff]) -> Markup:
    """Explain the last column, and say what each mode's entry rests on."""
    head = (
        "PACELC, what a mode keeps. P: in a cut, A is availability kept, C is consistency kept; measured by whether"
        " the minority was acknowledged writes for most of the cut. E: otherwise, L is a fast answer, C is consistency;"
        " by whether the rows measured here allow lost or old data. A question mark: nothing here shows it."
    )
    items = (
        element("li", element("b", f"{engine} {mode}: {trade.short}"), f": {trade.sentence}")
        for (engine, mode), trade in trades.items()
    )
    return folded("what the last column means", element("p", head), element("ul", items))
