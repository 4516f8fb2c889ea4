"""What the page's timeline shows beyond the picture: every anomaly, outages shaded, and who was primary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from caplab.check.epochs import Reign

from .. import words
from ..values import RunReport, listed, number, text
from .bins import StripName, kind_of
from .legend import Entry
from .strips import BAR, LANE, Row, beside
from .svg import INK, Frame, fitted, rectangle, width
from .svg import number as pixels
from .svg import text as drawn_text

SHADE = "#ffd7d1"
COLOURS: Mapping[str, str] = {"lost": INK, "stale": "#8250df", "two-primaries": "#bf3989"}
_NAMES = {"lost": "acknowledged write that was lost", "stale": "stale read", "two-primaries": "split-brain write"}
# From the top of a strip to its end: kinds differ in place too, not only in colour.
_PLACES = {"lost": (6, LANE + BAR // 2), "stale": (0, LANE), "two-primaries": (0, 6)}
_REIGN_ROW, _REIGN_SIZE, _MOST_REIGNS = 16, 10, 24
_REIGN_FILLS = ("#cfe3f7", "#f5e3b8", "#d7ecd0", "#ead6f2")


@dataclass(frozen=True, slots=True)
class Details:
    """marks are moments by kind and strip, in seconds from the origin, as is everything that is drawn."""

    marks: Mapping[tuple[str, StripName], Sequence[float]]
    reigns: Sequence[Reign]


@dataclass(frozen=True, slots=True)
class _Segment:
    """A reign's place in the lane of primaries."""

    reign: Reign
    begin: float
    end: float
    row: int


def lane_height(segments: Sequence[_Segment]) -> float:
    """Return the pixels that the lane of primaries takes above the axis."""
    return 8 + _REIGN_ROW * (1 + max(segment.row for segment in segments)) if segments else 0


def segments(details: Details | None, origin_ns: int) -> list[_Segment]:
    """Place each reign in the lowest row where it overlaps no other one."""
    placed: list[_Segment] = []
    for reign in () if details is None else details.reigns[:_MOST_REIGNS]:
        begin, end = (reign.begin_ns - origin_ns) / 1e9, (reign.end_ns - origin_ns) / 1e9
        taken = {other.row for other in placed if begin <= other.end and other.begin <= end}
        row = next(row for row in range(len(placed) + 1) if row not in taken)
        placed.append(_Segment(reign, begin, end, row))
    return placed


def lane(placed: Sequence[_Segment], frame: Frame, top: float) -> tuple[list[str], list[str], list[str]]:
    """Draw who acknowledged writes in which epoch: what scales with the axis of time, names on it, and one beside."""
    colours = dict(zip(_keys(placed), _REIGN_FILLS * _MOST_REIGNS, strict=False))
    bars, names = [], []
    for segment in placed:
        y, left, right = top + _REIGN_ROW * segment.row, frame.x(segment.begin), frame.x(segment.end)
        reign = segment.reign
        name = f"{reign.server or 'an unnamed member'}{words.DOT}epoch {reign.epoch[:8]}"
        fill = colours[reign.server, reign.epoch]
        bars.append(rectangle(left, y, max(right - left, 1.0), _REIGN_ROW - 3, fill, 'class="reign"'))
        wide = width(name, _REIGN_SIZE)
        x = left + 3 if left + wide + 6 < frame.right else max(frame.left, frame.right - wide - 4)
        label = fitted(name, frame.right - frame.left, _REIGN_SIZE)
        drawn = drawn_text(x, y + _REIGN_ROW - 6, label, _REIGN_SIZE)
        place = f'data-x="{pixels(left)}" data-end="{pixels(right)}"'
        names.append(f'<g class="moves" {place}>{drawn}</g>')
    return bars, names, [beside(frame, top + _REIGN_ROW - 6, "primary")] if placed else []


def _keys(placed: Sequence[_Segment]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((segment.reign.server, segment.reign.epoch) for segment in placed))


def shades(report: RunReport, rows: Sequence[Row], frame: Frame, origin_ns: int) -> list[str]:
    """Shade each outage behind its strip, as the checker found it; one without an end reaches to the edge."""
    tops = {row.strip.name: row.top for row in rows}
    drawn = []
    for series in listed(report.figures("availability"), "series"):
        kind = kind_of(text(series, "op"))
        top = tops.get((text(series, "vantage"), kind, text(series, "route")))
        for outage in listed(series, "outages") if top is not None else ():
            start_ns, end_ns = number(outage, "start_ns"), number(outage, "end_ns")
            left = frame.x(((start_ns or 0) - origin_ns) / 1e9)
            right = frame.right if end_ns is None else frame.x((end_ns - origin_ns) / 1e9)
            drawn.append(rectangle(left, top or 0, max(right - left, 0.5), LANE, SHADE, 'class="outage"'))
    return drawn


def marks(details: Details, rows: Sequence[Row], frame: Frame) -> list[str]:
    """Draw a path for each kind and strip, a stroke for each operation: as thin however far the time is stretched."""
    tops = {row.strip.name: row.top for row in rows}
    drawn = []
    for (kind, strip), moments in details.marks.items():
        if strip in tops:
            begin, end = _PLACES[kind]
            strokes = "".join(
                f"M{pixels(frame.x(seconds))} {pixels(tops[strip] + begin)}v{end - begin}" for seconds in moments
            )
            look = f'stroke="{COLOURS[kind]}" stroke-width="2" vector-effect="non-scaling-stroke" fill="none"'
            drawn.append(f'<path class="anomaly {kind}" d="{strokes}" {look}/>')
    return drawn


def entries(details: Details, shaded: bool) -> list[Entry]:
    """List what is in the picture beyond the usual."""
    kinds = {kind for (kind, _), moments in details.marks.items() if moments}
    shown = [
        Entry(rectangle(4, 0, 2, 11, colour), 11, _NAMES[kind]) for kind, colour in COLOURS.items() if kind in kinds
    ]
    return [*shown, *([Entry(rectangle(0, 0, 11, 11, SHADE), 11, "outage")] if shaded else [])]
