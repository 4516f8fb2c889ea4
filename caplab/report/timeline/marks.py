"""The marks over the whole height of the timeline: faults, the end of the failover, all members back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from caplab.check.finding import Context
from caplab.model.runs import FaultWindow, RunRecord
from caplab.verdict.served import Served

from .. import words
from ..headline import headline, who
from ..values import RunReport
from .svg import INK, Frame, fitted, line, number, rectangle, text, width

COLUMN, COLUMN_EDGE = "#e4e6ea", "#8c959f"
SERVED, SETTLED, DOUBT = "#0b3d75", "#57606a", "#b3350f"
LABEL_ROW = 16  # pixels
_SIZE = 11.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment, or with until_seconds a window; seconds from the injection."""

    seconds: float
    text: str
    colour: str
    dash: str = ""
    until_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedMark:
    """A mark with its label: its rows are counted upwards from the plot."""

    mark: Mark
    x: float  # of the moment
    left: float  # of the label
    right: float
    text: str
    row: int


def marks(report: RunReport, end_seconds: float) -> list[Mark]:
    """Return all marks; a fault that was not healed lasts to the end. None without an injection."""
    injected_ns = Context.of(report.record).injected_ns
    if injected_ns is None:
        return []
    moments = _faults(report.record.fault_windows, injected_ns, end_seconds)
    sides = headline(report).sides
    moments += [_served(side, report.record) for side in (sides.judged, sides.other) if side and side.outage.seconds]
    if report.record.settled_ns is not None:
        moments.append(
            Mark(
                seconds=(report.record.settled_ns - injected_ns) / 1e9,
                text="all members back",
                colour=SETTLED,
                dash="6 3",
            )
        )
    return moments


def _served(side: Served, record: RunRecord) -> Mark:
    """Build the mark of when a side was served again; of all clients it needs no name."""
    outage = side.outage
    again = "not served again within" if outage.at_least else "served again after"
    clients = f"{who(side, record).removeprefix('the ')} " if side.side else ""
    label = f"{clients}{again} {words.short_seconds(outage.seconds)}"
    return Mark(seconds=outage.seconds, text=label, colour=DOUBT if outage.at_least else SERVED)


def _faults(windows: Sequence[FaultWindow], injected_ns: int, end_seconds: float) -> list[Mark]:
    """Build a mark for each window; targets that share one share its mark."""
    shared: dict[tuple[str, int, int | None, bool], list[str]] = {}
    for window in windows:
        shared.setdefault((window.kind, window.injected_ns, window.healed_ns, window.proven), []).append(window.target)
    moments = []
    for (kind, begin_ns, healed_ns, proven), targets in shared.items():
        doubts = ("" if proven else ": NO EVIDENCE") + ("" if healed_ns is not None else ", not healed")
        end = end_seconds if healed_ns is None else (healed_ns - injected_ns) / 1e9
        label = f"{kind} of {', '.join(targets)}{doubts}"
        moments.append(
            Mark(
                seconds=(begin_ns - injected_ns) / 1e9,
                text=label,
                colour=INK if proven else DOUBT,
                dash="" if proven else "3 3",
                until_seconds=end,
            )
        )
    return moments


def placed(unplaced: Sequence[Mark], frame: Frame, limit: float) -> list[PlacedMark]:
    """Place labels to the right of their moments as far as limit allows, in rows where none overlaps another.

    From right to left, each in the lowest free row: so its leader comes down beside the others' labels.
    """
    done: list[PlacedMark] = []
    for mark in sorted(unplaced, key=lambda mark: -mark.seconds):
        x = frame.x(mark.seconds)
        label = fitted(mark.text, limit - frame.left, _SIZE, bold=True)
        wide = width(label, _SIZE, bold=True) + 8
        left = x if x + wide <= limit else max(frame.left, x - wide)
        done.append(_free(PlacedMark(mark=mark, x=x, left=left, right=left + wide, text=label, row=0), done))
    return done


def _free(label: PlacedMark, others: Sequence[PlacedMark]) -> PlacedMark:
    """Return the label in the lowest row where it overlaps no label and no leader; above all if there is none."""
    top = max((other.row for other in others), default=-1) + 1
    for row in range(top):
        if not any(_overlap(label, row, other) for other in others):
            top = row
            break
    return PlacedMark(mark=label.mark, x=label.x, left=label.left, right=label.right, text=label.text, row=top)


def _overlap(label: PlacedMark, row: int, other: PlacedMark) -> bool:
    if row == other.row:
        return label.left < other.right and other.left < label.right
    higher, lower = (label, other) if row > other.row else (other, label)
    return lower.left < higher.x < lower.right


def columns(labels: Sequence[PlacedMark], frame: Frame) -> list[str]:
    """Draw the shaded windows, behind everything else; dashed if nothing proves the fault."""
    drawn = []
    for label in labels:
        if label.mark.until_seconds is None:
            continue
        wide = max(frame.x(label.mark.until_seconds) - label.x, 1.0)
        dash = f' stroke-dasharray="{label.mark.dash}"' if label.mark.dash else ""
        more = f'class="fault" stroke="{COLUMN_EDGE}"{dash}'
        drawn.append(rectangle(label.x, frame.top - 4, wide, frame.bottom - frame.top + 8, COLUMN, more))
    return drawn


def leaders(labels: Sequence[PlacedMark], frame: Frame) -> list[str]:
    """Draw the leaders of labels: down to the plot from a window's, through the plot from a moment's."""
    drawn = []
    for label in labels:
        moment = label.mark.until_seconds is None
        dash = f' stroke-dasharray="{label.mark.dash}"' if label.mark.dash and moment else ""
        more = f'stroke-width="{1.6 if moment else 1}" vector-effect="non-scaling-stroke"{dash}'
        stop = frame.bottom + 4 if moment else frame.top - 4
        colour = label.mark.colour if moment else COLUMN_EDGE
        drawn.append(line(label.x, _baseline(label, frame) - 10, label.x, stop, colour, more))
    return drawn


def texts(labels: Sequence[PlacedMark], frame: Frame) -> list[str]:
    """Draw the labels, after all lines and on white, so that one that is crossed by a line stays legible."""
    drawn = []
    for label in labels:
        baseline = _baseline(label, frame)
        ground = rectangle(label.left + 2, baseline - 10, label.right - label.left - 4, 13, "#fff")
        name = text(label.left + 5, baseline, label.text, _SIZE, label.mark.colour, 'font-weight="bold"')
        drawn.append(f'<g class="moves" data-x="{number(label.x)}">{ground}{name}</g>')
    return drawn


def _baseline(label: PlacedMark, frame: Frame) -> float:
    return frame.top - 10 - LABEL_ROW * label.row
