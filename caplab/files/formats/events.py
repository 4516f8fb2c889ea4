"""Events of clients (invoke, then ok, fail or info), paired by process into operations.

An operation lies between its two events. The order of events in the file is what counts, as for Knossos and Elle: where
:time goes back, it is taken as the latest time so far, and an invocation that follows a completion at the same time is
a nanosecond later: a clock of milliseconds, or one that stands, hides no order. A completion of unknown outcome, or
none, is info.

Elle also takes files of completions alone. There an operation begins when the last one of its process has ended, and
:time is not asked: it may have begun at any time since.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ...model.bounds import Bounds
from ...model.history import ERRORS, FARTHEST_NS
from .edn import Keyword, printed
from .recording import FormatError
from .texts import Texts, fits_session

NEVER = -(1 << 63)  # the return of what never returned
OUTCOMES = ("ok", "fail", "info")
OURS = (
    "vantage",
    "session",
    "level",
    "route",
    "server",
    "epoch",
    "scheduled_ns",
)  # columns that Jepsen has no word for
PREFIX = "caplab/"  # of their names in an event
MISMATCH = "mismatch"  # a cas was refused because the register held something else
_PREFIXED = {f"{PREFIX}{name}": name for name in (*OURS, "error", MISMATCH)}
_ENDS = {name: code for code, name in enumerate(OUTCOMES)}
_UNKNOWN = _ENDS["info"]
ERROR_WORDS = {
    **{word: word for word in ERRORS},
    "timed-out": "timeout",
    "time-out": "timeout",
    "connection-refused": "refused",
}
_CHECK_EVERY = 1 << 16
_SHOWN = 60


@dataclass(slots=True, kw_only=True)
class Operations:
    """Operations in the order of invocation, a place in each list; the values are as in the file.

    asked: the invocation's value, what: that of a completion that is ok. event: the place of the invocation among the
    events, from 0, and line its line. errors and more are there for few.
    """

    f: list[str] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    found: list[Any] = field(default_factory=list)
    session: array[int] = field(default_factory=lambda: array("q"))
    invoke_ns: array[int] = field(default_factory=lambda: array("q"))
    return_ns: array[int] = field(default_factory=lambda: array("q"))
    outcome: bytearray = field(default_factory=bytearray)
    event: array[int] = field(default_factory=lambda: array("q"))
    line: array[int] = field(default_factory=lambda: array("q"))
    errors: dict[int, str] = field(default_factory=dict)
    more: dict[int, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    has_times: bool = True
    has_invocations: bool = True
    back_ns: int = 0  # how far times go back at most

    def __len__(self) -> int:
        """Return their number."""
        return len(self.f)

    def refuse(self, place: int, what: str, hint: str) -> NoReturn:
        """Raise FormatError for the operation at this place."""
        raise FormatError(f"Line {self.line[place]}: {what}. Hint: {hint}.")


def paired(events: Iterable[tuple[int, Any]], texts: Texts, bounds: Bounds) -> Operations:
    """Pair events, given with their lines. FormatError with the line, or TooMuch if they are over the bounds."""
    pairs = _Pairs(texts, bounds)
    for line, event in events:
        pairs.take(line, event)
    return pairs.whole()


class _Pairs:
    """Operations so far, and the one that each process has open."""

    def __init__(self, texts: Texts, bounds: Bounds) -> None:
        self._texts, self._bounds = texts, bounds
        self._ops = Operations()
        self._open: dict[Any, int] = {}
        self._events = 0
        self._times = self._timeless = 0
        self._now = -FARTHEST_NS  # the time of the last event
        self._ended_now = False  # whether an operation has completed at that time
        self._names: dict[str, str] = {}
        self._index = -1  # of the last event that has one
        self._last_ends: dict[Any, int] = {}  # of each process, where there are no invocations

    def take(self, line: int, event: Any) -> None:
        """Take the next event."""
        place, self._events = self._events, self._events + 1
        if type(event) is not dict:
            _refuse(line, f"it is not an event: {_shown(event)}", "write a map with :type, :process, :f and :value")
        process, kind = event.get("process"), event.get("type")
        if type(process) is not int and not self._is_client(line, process, kind):
            return
        index = event.get("index")
        if type(index) is int:
            if 0 <= index < self._index:
                _refuse(
                    line,
                    f"field :index is {index}, and an event before it has {self._index}",
                    "sort the events by :index, or leave it out: the order of the file is that of events",
                )
            self._index = index
        if kind == "invoke":
            self._invoke(line, place, process, event)
        elif isinstance(kind, str) and kind in _ENDS:
            self._complete(line, place, process, _ENDS[kind], event)
        else:
            _refuse(line, f"field :type is {_shown(kind)}", "use one of :invoke, :ok, :fail, :info")

    def whole(self) -> Operations:
        """Return all operations; what is open is info."""
        if self._times and self._timeless:
            raise FormatError(
                f"{self._timeless:,} of {self._times + self._timeless:,} events have no :time."
                " Hint: give every event its time, or none."
            )
        self._ops.has_times = not self._timeless
        self._bounds.refuse_rows(len(self._ops))
        return self._ops if self._ops.has_invocations else _by_begin(self._ops)

    def _is_client(self, line: int, process: Any, kind: Any) -> bool:
        """Return whether a process that is no number is a client.

        The nemesis is none, nor is a keyword that invokes nothing: what is no client begins and ends with :info.
        """
        if process is None and kind is None:
            _refuse(line, "it is not an event: it has no :process and no :type", "check a history, such as history.edn")
        if process is None:
            _refuse(line, "the event has no :process", "say which client it is of")
        informs = isinstance(process, Keyword) and kind == "info" and process not in self._open
        if informs or process == "nemesis":
            name = str(process)[:_SHOWN]
            self._ops.skipped[name] = self._ops.skipped.get(name, 0) + 1
            return False
        if not isinstance(process, str):
            _refuse(line, f"field :process is {_shown(process)}", "number the clients, or name them")
        return True

    def _invoke(self, line: int, place: int, process: Any, event: dict[str, Any]) -> None:
        ops = self._ops
        if not ops.has_invocations:
            _refuse_without_invocation(line=int(ops.line[0]), shown="a process")
        if process in self._open:
            before = ops.line[self._open[process]]
            _refuse(
                line,
                f"process {_shown(process)} invokes an operation, and what it invoked in line {before} has not ended",
                "give every concurrent client a process of its own, and write an :info event for what crashed",
            )
        self._open[process] = self._begin(line, place, process, event, self._time(line, event, invokes=True))

    def _begin(self, line: int, place: int, process: Any, event: dict[str, Any], invoke_ns: int) -> int:
        """Add an operation that has not ended, and return its place."""
        ops, at, f = self._ops, len(self._ops.f), event.get("f")
        if f is not None and not isinstance(f, str):
            _refuse(line, f"field :f is {_shown(f)}", "name the operation")
        ops.f.append(self._names.setdefault(f, f) if f is not None else "")
        ops.asked.append(event.get("value"))
        ops.found.append(None)
        ops.session.append(process if fits_session(process) else self._texts.session(str(process)))
        ops.invoke_ns.append(invoke_ns)
        ops.return_ns.append(NEVER)
        ops.outcome.append(_UNKNOWN)
        ops.event.append(place)
        ops.line.append(line)
        if not _PREFIXED.keys().isdisjoint(event):
            ops.more[at] = {_PREFIXED[name]: event[name] for name in event.keys() & _PREFIXED.keys()}
            if (error := ops.more[at].pop("error", None)) in ERRORS:
                ops.errors[at] = str(error)
        if at % _CHECK_EVERY == 0:
            self._bounds.refuse_rows(at, at_least=True)
        return at

    def _complete(self, line: int, place: int, process: Any, outcome: int, event: dict[str, Any]) -> None:
        ops, at = self._ops, self._open.pop(process, None)
        if at is None:
            if len(ops) and ops.has_invocations:
                _refuse_without_invocation(line, f"process {_shown(process)}")
            ops.has_invocations = False
            at = self._begin(line, place, process, event, self._last_ends.get(process, -2) + 1)
        f = event.get("f")
        if f is not None and f != ops.f[at]:
            _refuse(
                line,
                f"process {_shown(process)} has completed {_shown(f)}, and had invoked"
                f" '{ops.f[at][:_SHOWN]}' in line {ops.line[at]}",
                "give a completion the :f of its invocation",
            )
        if outcome == 0:
            ops.found[at] = event.get("value")
        ops.outcome[at] = outcome
        if ops.has_invocations:
            ops.return_ns[at] = self._time(line, event, invokes=False)
        else:
            ops.return_ns[at] = self._last_ends[process] = 2 * place
        error = event.get("error")
        if error is not None and isinstance(error, str) and error in ERROR_WORDS:
            ops.errors[at] = ERROR_WORDS[error]

    def _time(self, line: int, event: Mapping[str, Any], *, invokes: bool) -> int:
        """Return the time of an event in the order of the file."""
        time = event.get("time")
        if time is None:
            self._timeless += 1
            return self._events - 1  # an order, no time
        if type(time) is not int or not -FARTHEST_NS < time < FARTHEST_NS:
            _refuse(line, f"field :time is {_shown(time)}", "write nanoseconds, as a whole number within 146 years")
        self._times += 1
        if time > self._now:
            self._now, self._ended_now = time, not invokes
            return time
        self._ops.back_ns = max(self._ops.back_ns, self._now - time)
        if invokes and self._ended_now:
            self._now, self._ended_now = self._now + 1, False
        else:
            self._ended_now |= not invokes
        return self._now


def _by_begin(ops: Operations) -> Operations:
    """Return operations of completions alone in the order in which they began; their times are an order."""
    order = sorted(range(len(ops)), key=lambda at: ops.invoke_ns[at])
    place_of = {at: place for place, at in enumerate(order)}
    for name in ("f", "asked", "found", "session", "invoke_ns", "return_ns", "outcome", "event", "line"):
        column = getattr(ops, name)
        sorted_cells = [column[at] for at in order]
        setattr(ops, name, array("q", sorted_cells) if isinstance(column, array) else type(column)(sorted_cells))
    ops.errors = {place_of[at]: error for at, error in ops.errors.items()}
    ops.more = {place_of[at]: more for at, more in ops.more.items()}
    ops.has_times = False
    return ops


def _refuse_without_invocation(line: int, shown: str) -> NoReturn:
    _refuse(
        line,
        f"{shown} has completed an operation that it had not invoked",
        "write the event :invoke of every operation before its completion, or leave all of them out",
    )


def _refuse(line: int, what: str, hint: str) -> NoReturn:
    raise FormatError(f"Line {line}: {what}. Hint: {hint}.")


def _shown(value: Any) -> str:
    text = printed(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
