"""A picture of the lab as lines of text, for a terminal of a given size. Pure.

Nothing is shown by colour alone, and an unknown value is shown in words or by a question mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rich.cells import set_cell_size
from rich.text import Text

from caplab.check.finding import State
from caplab.contract.phases import DOWN, FAILED, READY
from caplab.faults.rows import Row
from caplab.report import words

from . import sparkline
from .sparkline import BAD, DOUBT, GOOD, POOR, QUIET, UNKNOWN, Glyphs
from .values import ClusterLine, MemberLine, Picture, RouteLine, RunLine, SourceState

NARROWEST, WIDE = 60, 120  # cells: a narrower picture is cut; a wider one has more words
_MIN_SPAN_SECONDS, _MAX_COLUMNS = 60, 120
_SHORT_EPOCH = 8  # characters of a Redis replication id
_HEAL_SECONDS = 1.0  # a fault's time to end, past its end, before it is late
_SILENT_SECONDS = 3.0  # without an acknowledgement, before the seconds are shown
_PHASES = {READY: GOOD, DOWN: BAD, FAILED: BAD}  # all others: something is under way
_VERDICTS = {State.HOLDS.value: GOOD, State.VIOLATED.value: BAD, State.UNKNOWN.value: DOUBT}
_TITLE = "bold"
_ACKNOWLEDGED = 12  # cells
_FIXED = 6 + _ACKNOWLEDGED + 1 + 8 + 1  # cells of a route's line beside its names and the two lines of bars

Line = Text


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under a title; the least of them are shown on a terminal of any height, the first ones first."""

    title: Line
    lines: tuple[Line, ...]
    least: int = 1
    front: frozenset[int] = frozenset()  # numbers of lines that are left out last

    def first(self, count: int) -> list[Line]:
        """Return so many of its lines, in their order."""
        chosen = sorted(range(len(self.lines)), key=lambda number: (number not in self.front, number))[:count]
        return [self.lines[number] for number in sorted(chosen)]


@dataclass(frozen=True, slots=True)
class Paper:
    """The area to draw on: cells in a line, lines (None: as many as needed), and the available characters."""

    width: int = 80
    height: int | None = None
    glyphs: Glyphs = sparkline.FINE

    @property
    def is_wide(self) -> bool:
        """Whether there is room for more words."""
        return self.width >= WIDE

    @property
    def columns(self) -> int:
        """The cells of a line of bars."""
        return max(1, min(_MAX_COLUMNS, (self.width - _FIXED - sum(self.names)) // 2))

    @property
    def column_seconds(self) -> int:
        """How long a column lasts, so that all of them cover a minute at least."""
        return -(-_MIN_SPAN_SECONDS // self.columns)

    @property
    def names(self) -> tuple[int, int]:
        """Cells of a vantage's and of a route's name, each with the blank after it."""
        return (14, 9) if self.is_wide else (4, 8)


def drawn(picture: Picture, paper: Paper) -> list[Line]:
    """Draw the whole picture, within the paper's width and height."""
    head = _head(picture, paper)
    sections = [_clusters(picture, paper), _faults(picture, paper), _clients(picture, paper), _runs(picture, paper)]
    lines = [*head, *_fitted(sections, None if paper.height is None else paper.height - len(head))]
    lines = lines[: paper.height] if paper.height else lines
    for line in lines:
        line.no_wrap = True
        line.truncate(max(1, paper.width), overflow="crop" if paper.glyphs is sparkline.ASCII else "ellipsis")
    return lines


def _head(picture: Picture, paper: Paper) -> list[Line]:
    dot = paper.glyphs.dot
    at = Text.assemble(("caplab watch", _TITLE), f"{dot}{datetime.fromtimestamp(picture.now_unix, UTC):%H:%M:%S} UTC")
    lines = [at.append(f"{dot}{picture.place}")] if paper.is_wide else [at, Text(picture.place)]
    sources = [picture.api_server, picture.operator, *picture.probers, picture.host]
    if answering := [state.name for state in sources if state.is_known]:
        lines.append(Text("answering: ").append(", ".join(answering), GOOD))
    lines += [_silent(state) for state in sources if not state.is_known]
    if not picture.probers and picture.api_server.is_known:
        lines.append(Text("there is no prober: what clients get is unknown. Hint: make up", DOUBT))
    return lines


def _silent(state: SourceState) -> Line:
    since = "from the start" if state.age_seconds is None else f"for {_duration(state.age_seconds)}"
    return Text.assemble((f"unknown: {state.name}", DOUBT), f" does not answer, {since}: {state.problem}")


def _fitted(sections: Sequence[Section], height: int | None) -> list[Line]:
    """Stack the sections; without room for all lines, each says how many it leaves out."""
    wanted = [len(section.lines) for section in sections]
    if height is not None:
        room = height - 2 * len(sections)  # a title and a blank line each
        for number in reversed(range(len(sections))):
            over = sum(wanted) - room
            if over > 0:
                least = min(wanted[number], sections[number].least)
                wanted[number] = max(least, wanted[number] - over)
    lines: list[Line] = []
    for section, count in zip(sections, wanted, strict=True):
        title = section.title.copy()
        if count < len(section.lines):
            title.append(f"  ({len(section.lines) - count} more)", QUIET)
        lines += [Text(), title, *section.first(count)]
    return lines


def _section(
    title: str, note: str, lines: Sequence[Line], nothing: str, least: int = 1, doubt: bool = False
) -> Section:
    heading = Text.assemble((title, _TITLE), (f"  {note}" if note else "", DOUBT if doubt else QUIET))
    return Section(heading, tuple(lines) or (Text(nothing, QUIET),), least)


def _clusters(picture: Picture, paper: Paper) -> Section:
    doubt = _first_unknown(picture.api_server, picture.operator)
    lines = [_cluster(cluster, paper, doubt is None) for cluster in picture.clusters]
    nothing = "none" if doubt is None else UNKNOWN
    return _section("CLUSTERS", _as_before(doubt), lines, nothing, len(lines) or 1, doubt is not None)


def _first_unknown(*sources: SourceState) -> SourceState | None:
    return next((state for state in sources if not state.is_known), None)


def _as_before(doubt: SourceState | None) -> str:
    if doubt is None:
        return ""
    if doubt.age_seconds is None:
        return f"unknown: the {doubt.name} has not answered yet"
    return f"unknown: as of {_duration(doubt.age_seconds)} ago, when the {doubt.name} last answered"


def _cluster(cluster: ClusterLine, paper: Paper, is_known: bool) -> Line:
    """Draw a cluster in one line; what is not known any more is marked, word by word."""
    phase = cluster.phase if is_known else "unknown"
    ready = sum(member.is_ready for member in cluster.members)
    line = Text()
    _cell(line, cluster.engine, 10)
    _cell(line, _full_name(cluster, 35 if paper.is_wide else 17, paper.glyphs), 36 if paper.is_wide else 18)
    _cell(line, phase, 9, _PHASES.get(phase, POOR) if is_known else DOUBT)
    if cluster.has_primary:
        _leader(line, cluster, paper, is_known)
    if paper.is_wide or len(cluster.members) != cluster.desired:  # else the members show it
        count = _marked(f"{ready}/{cluster.desired}", is_known)
        _cell(line, count, 5, GOOD if is_known and ready >= cluster.desired else POOR)
    for member in cluster.members:
        line.append_text(_member(member, cluster.name, paper, is_known)).append(" ")
    if paper.is_wide and is_known and cluster.trouble:
        line.append(f" {cluster.trouble}", POOR)
    return line


def _full_name(cluster: ClusterLine, cells: int, glyphs: Glyphs) -> str:
    """Return namespace and name; of a long namespace only the beginning."""
    room = cells - len(cluster.name) - 1
    if len(cluster.namespace) > room > 1:
        return f"{cluster.namespace[: room - 1]}{glyphs.cut}/{cluster.name}"
    return f"{cluster.namespace}/{cluster.name}"


def _leader(line: Line, cluster: ClusterLine, paper: Paper, is_known: bool) -> None:
    primary = cluster.primary if paper.is_wide else _ordinal(cluster.primary, cluster.name)
    primary_text = f"primary {primary}" if primary else "no primary"
    _cell(
        line,
        _marked(primary_text, is_known),
        24 if paper.is_wide else 12,
        DOUBT if not is_known else "" if primary else BAD,
    )
    epoch = f"epoch {cluster.epoch[:_SHORT_EPOCH]}" if cluster.epoch else "no epoch"
    _cell(line, _marked(epoch, is_known), 16, "" if is_known else DOUBT)


def _marked(text: str, is_known: bool) -> str:
    return text if is_known else f"{text}{UNKNOWN}"


def _member(member: MemberLine, cluster: str, paper: Paper, is_known: bool) -> Line:
    """Draw a member's name, with a star if it is the primary, and its state if it is not ready."""
    name = f"{member.name}@{member.zone}" if paper.is_wide and member.zone else _ordinal(member.name, cluster)
    name += "*" if member.is_primary else ""
    if not is_known:
        return Text(_marked(name, is_known), DOUBT)
    if member.is_ready:
        lag = f" -{member.lag_bytes:,} B" if paper.is_wide and member.lag_bytes else ""
        return Text(f"{name}{lag}", GOOD)
    return Text(f"{name}({member.state or 'not ready'})", BAD)


def _ordinal(member: str, cluster: str) -> str:
    return member.removeprefix(f"{cluster}-")


def _faults(picture: Picture, paper: Paper) -> Section:
    doubt = _first_unknown(picture.api_server, picture.operator, picture.host)
    lines = [_fault(row, paper, doubt is None) for row in picture.faults]
    return _section("LIVE FAULTS", _as_before(doubt), lines, "none" if doubt is None else UNKNOWN, 2, doubt is not None)


def _fault(row: Row, paper: Paper, is_known: bool) -> Line:
    line = Text()
    _cell(line, row.phase if is_known else "unknown", 9, _PHASES.get(row.phase, POOR) if is_known else DOUBT)
    is_late = row.left_seconds is not None and row.left_seconds <= -_HEAL_SECONDS
    _cell(line, _left(row.left_seconds), 12, BAD if is_late else "")
    _cell(line, "proven" if row.proven else "unproven", 9, "" if row.proven else QUIET)
    what = " ".join(filter(None, (row.kind, row.detail)))
    of = f" of {', '.join(row.pods)}" if row.pods else ""
    return line.append(f"{what}{of}{paper.glyphs.dot}{row.target}{paper.glyphs.dot}{row.namespace or 'this host'}")


def _left(seconds: float | None) -> str:
    if seconds is None:
        return "left: ?"
    return f"{max(0.0, seconds):.0f} s left" if seconds > -_HEAL_SECONDS else f"{-seconds:.0f} s late"


def _clients(picture: Picture, paper: Paper) -> Section:
    lines: list[Line] = []
    front: set[int] = set()
    shown: tuple[str, str, str] | None = None
    for route_line in picture.routes:
        cluster = (route_line.route.engine, route_line.route.namespace, route_line.route.cluster)
        if cluster != shown:
            front.add(len(lines))
            lines.append(_of_cluster(*cluster, paper))
            shown = cluster
        if route_line.is_troubled:
            front.add(len(lines))
        lines.append(_route(route_line, paper))
    seconds = picture.column_seconds
    each = f", worst of every {seconds} s" if seconds > 1 else ""
    note = f"share acked, p99 of 1 ms to 30 s{paper.glyphs.dot}{paper.columns * seconds} s{each}"
    nothing = "no load" if picture.probers and all(state.is_known for state in picture.probers) else UNKNOWN
    return replace(_section("CLIENTS", note if lines else "", lines, nothing, 6), front=frozenset(front))


def _of_cluster(engine: str, namespace: str, cluster: str, paper: Paper) -> Line:
    return Text(f"{namespace}/{cluster}{paper.glyphs.dot}{engine}", "underline")


def _route(route_line: RouteLine, paper: Paper) -> Line:
    line = Text()
    for text, cells in zip((route_line.route.vantage, route_line.route.route), paper.names, strict=True):
        _cell(line, text, cells)
    _cell(line, route_line.route.access, 6)
    _cell(line, *_acknowledged(route_line))
    line.append_text(sparkline.ratios(route_line.columns, paper.glyphs)).append(" ")
    p99 = (
        UNKNOWN
        if not route_line.is_known
        else "-"
        if route_line.p99_seconds is None
        else _latency(route_line.p99_seconds)
    )
    line.append(p99.rjust(8), DOUBT if not route_line.is_known else "").append(" ")
    return line.append_text(sparkline.latencies(route_line.columns, paper.glyphs))


def _acknowledged(route_line: RouteLine) -> tuple[str, int, str]:
    if not route_line.is_known:
        return UNKNOWN, _ACKNOWLEDGED, DOUBT
    if (
        route_line.since_ack_seconds is not None
        and route_line.since_ack_seconds > _SILENT_SECONDS
        and not route_line.ratio
    ):
        return f"none {_duration(route_line.since_ack_seconds)}", _ACKNOWLEDGED, BAD
    if route_line.ratio is None:
        return "-", _ACKNOWLEDGED, QUIET
    return words.ratio(route_line.ratio), _ACKNOWLEDGED, sparkline.style_of(route_line.ratio)


def _runs(picture: Picture, paper: Paper) -> Section:
    doubt = _first_unknown(picture.api_server)
    lines = [_run(run, picture.now_unix, paper) for run in picture.runs]
    return _section("LAST RUNS", _as_before(doubt), lines, "none" if doubt is None else UNKNOWN, 1, doubt is not None)


def _run(run: RunLine, now_unix: float, paper: Paper) -> Line:
    """Draw a run: a finished one by its verdict, one under way by its phase."""
    state = run.verdict or run.phase
    if run.phase == FAILED:
        state = "failed"
    line = Text()
    label = words.of_verdict(State(state)) if state in _VERDICTS else state.upper()
    _cell(line, label, 15, _VERDICTS.get(state, BAD if state == "failed" else POOR))
    at = run.ended_unix if run.ended_unix is not None else run.started_unix
    ago = " ago" if paper.is_wide and run.ended_unix is not None else ""
    _cell(line, "" if at is None else f"{_duration(max(0.0, now_unix - at))}{ago}", 12 if paper.is_wide else 7)
    _cell(line, f"{run.experiment} {run.mode}", 46 if paper.is_wide else min(35, paper.width - 50))
    notes = []
    if run.failover_seconds is not None:
        notes.append(f"out {run.failover_seconds:.1f} s")
    if run.lost is not None:
        notes.append(f"lost {run.lost:,}" + (f" of {run.acked:,}" if run.acked is not None else ""))
    if run.reason and run.verdict != "valid":
        notes.append(run.reason)
    return line.append(paper.glyphs.dot.join(notes))


def _cell(line: Line, text: str, cells: int, style: str = "") -> None:
    """Append a text as so many cells, the last of which is blank."""
    line.append(set_cell_size(text, cells - 1), style).append(" ")


def _latency(seconds: float) -> str:
    return f"{1000 * seconds:.{1 if seconds < 0.01 else 0}f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _duration(seconds: float) -> str:
    """Format seconds in the greatest unit that gives a whole number."""
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
