"""`caplab check`: runs every applicable checker over a history: a file, a run, or a folder of runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from . import memory
from .check import CHECKERS, Context, State, check_history, merge, standalone
from .files import results
from .files.formats import store
from .files.formats.reading import format_name, read
from .files.formats.recording import Recording
from .model.bounds import Bounds
from .model.disorder import validate_stored
from .model.fields import Json
from .model.history import Table
from .model.known_names import hint
from .report.findings.as_json import history_json, runs_json
from .report.findings.as_text import WIDTH, history_text
from .report.findings.checked import CheckedHistory

_DEFAULT = Bounds()
_READING_BYTES = 1 << 29  # beyond the history itself: unpacked data, threads, libraries
EXIT_CODES = {State.HOLDS: 0, State.VIOLATED: 1, State.UNKNOWN: 2}


class NotChecked(Exception):
    """There is no history to check, or none that can be trusted; the message says where, why and how to fix it."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """A history with what is known beside it, and why checkers are left out before they run."""

    history: Table
    context: Context
    without: dict[str, str]
    recording: Recording | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What the caller says beside a history; None: as in Context."""

    enough: int | None = None
    initial: int | None = None
    budget: int | None = None
    level: str = ""

    def beside(self, context: Context) -> Context:
        """Return a context with these."""
        return replace(
            context,
            enough=context.enough if self.enough is None else self.enough,
            initial=context.initial if self.initial is None else self.initial,
            budget=context.budget if self.budget is None else self.budget,
            level=self.level,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How findings are printed: as JSON or as text, all of them or in brief, for so many columns."""

    as_json: bool = False
    verbose: bool = False
    width: int = WIDTH


_NOTHING_ASSUMED = Assumptions()


def command(
    path: Path, names: Sequence[str], assumed: Assumptions, output: Output, bounds: Bounds = _DEFAULT
) -> tuple[str, int]:
    """Return the output of `caplab check` and its exit code: 0 holds, 1 violated, 2 unknown. Raises NotChecked."""
    checked = check_path(path, names, assumed, bounds)
    state = merge(history.state for history in checked)
    texts = (history_text(history, output.verbose, output.width) for history in checked)
    return _json(path, checked) if output.as_json else "\n".join(texts), EXIT_CODES[state]


def _json(path: Path, checked: Sequence[CheckedHistory]) -> str:
    several = path.is_dir() and not (_is_run(path) or store.is_store(path))
    document = runs_json(checked) if several else history_json(checked[0].findings) | _of_file_json(checked[0])
    return json.dumps(document, indent=1) + "\n"


def _of_file_json(history: CheckedHistory) -> dict[str, Json]:
    """Return what is known of a history's file, for JSON."""
    notes: dict[str, Json] = {"notes": list(history.notes)} if history.notes else {}
    return {"format": history.format} | notes if history.format else {}


def check_path(
    path: Path, names: Sequence[str] = (), assumed: Assumptions = _NOTHING_ASSUMED, bounds: Bounds = _DEFAULT
) -> tuple[CheckedHistory, ...]:
    """Check one history, or each run of a folder.

    names: these checkers, whether or not they apply; none: all that apply. bounds: of each history.

    Raises NotChecked if there is no such checker, nothing to read, or a history that is over the bounds or broken. Of
    several histories those that are say so themselves, unless all of them are.
    """
    for name in names:
        if name not in CHECKERS:
            raise NotChecked(f"There is no checker '{name}'. Hint: {hint(name, CHECKERS)}")
    try:
        places = _places(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(places) == 1:
        return (_check(places[0], names, assumed, bounds),)
    checked, problems = [], []
    for place in places:
        try:
            checked.append(_check(place, names, assumed, bounds))
        except NotChecked as error:
            problems.append(error)
            checked.append(_not_checked(place, str(error)))
    if len(problems) == len(places):
        raise problems[0]
    return tuple(checked)


def _places(path: Path) -> tuple[Path, ...]:
    if not path.exists():
        raise NotChecked(f"{path}: there is no such file or folder. Hint: name a history or the folder of a run.")
    if not (path.is_dir() or path.is_file()):
        raise NotChecked(f"{path}: it is not a file that can be read twice. Hint: save it as a file first.")
    return _runs(path) if path.is_dir() else (path,)


def _unreadable(path: Path, error: OSError) -> NotChecked:
    return NotChecked(f"{path}: {error.strerror or error}. Hint: name a history that can be read.")


def _not_checked(place: Path, sentence: str) -> CheckedHistory:
    problem = sentence.removeprefix(f"{place}{_format_in_brackets(place)}: ")
    return CheckedHistory(
        name=_name(place),
        operations=0,
        with_fault=False,
        findings=(),
        left_out={},
        format=_format_of(place),
        problem=problem,
    )


def _name(place: Path) -> str:
    return f"{place.parent.name}/{place.name}" if place.is_dir() and not _is_run(place) else place.name


def _runs(folder: Path) -> tuple[Path, ...]:
    """Return the folder itself if it is a run's or a test's of Jepsen, else the runs, or the tests, in it."""
    if _is_run(folder) or store.is_store(folder):
        return (folder,)
    runs = tuple(sorted(inner.parent for inner in folder.glob(f"*/{results.RECORD}"))) or store.stores_in(folder)
    if not runs:
        raise NotChecked(
            f"{folder}: there is no run in this folder. Hint: name one that has {results.RECORD} and {results.HISTORY},"
            f" one of such folders, a test's folder of Jepsen ({store.HISTORIES[0]}), or a history's file."
        )
    return runs


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in (results.RECORD, results.HISTORY))


def _check(place: Path, names: Sequence[str], assumed: Assumptions, bounds: Bounds) -> CheckedHistory:
    try:
        return _checked(place, names, assumed, bounds)
    except MemoryError as error:
        raise NotChecked(f"{place}: there is not enough memory for it. Hint: check a part of it.") from error
    except OSError as error:
        raise _unreadable(place, error) from error


def _checked(place: Path, names: Sequence[str], assumed: Assumptions, bounds: Bounds) -> CheckedHistory:
    try:
        subject = _of_run(place, bounds) if _is_run(place) else _of_file(place, bounds)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise NotChecked(f"{place}{_format_in_brackets(place)}: {_reason(error)}") from error
    context = assumed.beside(subject.context)
    left_out = {} if names else _left_out(subject)
    chosen = names or [name for name in CHECKERS if name not in left_out]
    findings = check_history(subject.history, context, chosen)
    recording = subject.recording
    if recording is not None:
        findings = tuple(recording.as_in_file(finding) for finding in findings)
    return CheckedHistory(
        name=_name(place),
        operations=subject.history.num_rows,
        with_fault=context.injected_ns is not None,
        has_clock=recording is None or (recording.has_times and standalone.has_clock(subject.history)),
        findings=findings,
        left_out=left_out,
        format=recording.format if recording is not None else "",
        notes=recording.notes if recording is not None else (),
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _of_run(folder: Path, bounds: Bounds) -> _Subject:
    with memory.at_most(bounds.bytes + _READING_BYTES):
        record, table = results.read_run(folder, bounds)
    return _Subject(validate_stored(table), Context.of(record), {})


def _of_file(path: Path, bounds: Bounds) -> _Subject:
    with memory.at_most(bounds.bytes + _READING_BYTES):
        recording = store.read_store(path, bounds) if path.is_dir() else read(path, bounds)
    history = standalone.in_session_order(recording.validated())
    columns = recording.table.column_names
    without = {name: checker.applies_to_file(columns) for name, checker in CHECKERS.items()}
    return _Subject(history, standalone.context_of(history), without, recording)


def _format_in_brackets(place: Path) -> str:
    name = _format_of(place)
    return f" ({name})" if name else ""


def _format_of(place: Path) -> str:
    """Return the format that a file was taken for; '' if it is not known, or is that of a run."""
    try:
        if _is_run(place):
            return ""
        return format_name(store.history_of(place) if place.is_dir() else place)
    except (OSError, ValueError):
        return ""


def _left_out(subject: _Subject) -> dict[str, str]:
    reasons = {
        name: subject.without.get(name) or checker.applies(subject.history) for name, checker in CHECKERS.items()
    }
    return {name: reason for name, reason in reasons.items() if reason}
