"""The journal: the agent's fault records that are not settled yet, in one file on the node.

It is written before anything is done, and suffices to heal without an API server. The file is replaced as a whole and
not synced to disk: it has to outlive the agent but not the node's boot, since after a reboot there is nothing to heal.

Whatever the file has become, the agent goes on: a record that is damaged is healed at once, if it still says of which
pod it is, and never keeps another one from being read.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, fields, replace
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from caplab.contract import bounds
from caplab.contract.phases import ACTIVE, TARGET_ENDED
from caplab.contract.records import shown

from .clock import Clock
from .faults import BEGUN, Assignment, FaultRecord, is_uid
from .injectors import KINDS, kind_of

_FORMAT = 3
_MAX_BYTES = 64 << 20  # a hundred thousand records
_MAX_NUMBER = 2**63  # a greater one is no time, and no report can carry it
_SPARE_SECONDS = 60
_STATES = {BEGUN, ACTIVE, *TARGET_ENDED}
_TIMES = ("injected_ns", "effective_ns", "healed_ns")  # of what has happened
_STAMPS = ("injected_at", "healed_at")
_log = logging.getLogger(__name__)

T = TypeVar("T")


class Damaged(ValueError):
    """A record that cannot be used as it is; the message names the field."""


class Journal:
    """The journal's file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._draft = file.with_suffix(".draft")
        with suppress(OSError):  # a fault says that it cannot be written
            file.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[FaultRecord]:
        """Read all records. Never raises: what is unreadable is set aside, and its faults are healed as lost ones.

        A damaged record is in its first state, with its problem, so that it is healed; its boot_id is ''.
        """
        try:
            content = _content(self._file)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._set_aside(self._file, f"cannot be read ({error.strerror or error})")
            return []
        try:
            entries = _entries(json.loads(content.decode(errors="replace")))
        except (ValueError, RecursionError) as error:
            self._set_aside(self._file, f"is unreadable ({error or 'it is nested too deeply'})")
            return []
        read = [_read(entry) for entry in entries]
        if problems := [f"entry {number}: {problem}" for number, (_, problem) in enumerate(read, 1) if problem]:
            aside = self._copy(content)
            _log.error("The journal %s is damaged (copied to %s): %s", self._file, aside, "; ".join(problems))
        return [record for record, _ in read if record]

    def write(self, records: Iterable[FaultRecord]) -> None:
        """Replace the file with these records. Raises OSError."""
        text = json.dumps({"format": _FORMAT, "entries": [_fields(record) for record in records]})
        for path in (self._draft, self._file):
            if path.is_dir():
                self._set_aside(path, "is a directory")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._draft.unlink(missing_ok=True)  # it may be a pipe, or a link to another file
        self._draft.write_text(text)
        self._draft.replace(self._file)

    def _set_aside(self, path: Path, why: str) -> None:
        for suffix in ("unreadable", *(f"unreadable-{number}" for number in range(1, 10))):
            aside = self._file.with_suffix(f".{suffix}")
            with suppress(OSError):  # there is a directory of that name
                path.replace(aside)
                _log.error(
                    "The journal %s %s; moved to %s. Hint: its faults are healed as lost ones.", path, why, aside
                )
                return
        _log.error("The journal %s %s, and cannot be moved. Hint: remove it, or no fault begins here.", path, why)

    def _copy(self, content: bytes) -> Path:
        aside = self._file.with_suffix(".unreadable")
        with suppress(OSError):
            aside.write_bytes(content)
        return aside


def resumed(records: Iterable[FaultRecord], clock: Clock) -> list[FaultRecord]:
    """Return a journal's records as an agent goes on from them: one with times that cannot be is healed at once."""
    now_ns = clock.now().ns
    return [_resumed(record, clock.boot_id, now_ns) for record in records]


def _resumed(record: FaultRecord, boot_id: str, now_ns: int) -> FaultRecord:
    if not record.boot_id:
        return replace(record, boot_id=boot_id)
    if record.boot_id != boot_id:
        return record
    problem = ""
    if record.deadline_ns > now_ns + (bounds.FAULT_SECONDS + _SPARE_SECONDS) * 10**9:
        problem = f"deadline_ns is {record.deadline_ns}, later than any fault may last"
    for name in _TIMES:
        if (getattr(record, name) or 0) > now_ns:
            problem = f"{name} is {getattr(record, name)}, which is not over yet"
    if not problem:
        return record
    _log.error("The journal's record of Fault %s is damaged: %s", _named(record.assignment), problem)
    return replace(_damaged(record.assignment, problem), boot_id=boot_id)


def _content(file: Path) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:  # noqa: PTH123  # of a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        content = opened.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise OSError(f"it has over {_MAX_BYTES >> 20} MiB")
    return content


def _entries(document: object) -> list[object]:
    if not isinstance(document, dict):
        raise ValueError(f"it is {shown(document)}, not an object")
    if document.get("format") != _FORMAT:
        raise ValueError(f"format is {shown(document.get('format'))}, not {_FORMAT}")
    entries = document.get("entries")
    if not isinstance(entries, list):
        raise ValueError(f"entries is {shown(entries)}, not a list")
    return entries


def _fields(record: FaultRecord) -> dict[str, Any]:
    fields_ = asdict(record)
    fields_["assignment"]["action"]["kind"] = kind_of(record.assignment)
    return fields_


def _read(entry: object) -> tuple[FaultRecord | None, str]:
    """Parse a record; with the problem if it is damaged, None if it does not say of which pod it is."""
    try:
        assignment, problem = _assignment(_mapping(entry, "it"))
    except Damaged as damaged:
        return None, f"{damaged}, so that nothing can be healed by it"
    try:
        record = _record(assignment, _mapping(entry, "it")) if not problem else _damaged(assignment, problem)
    except Damaged as damaged:
        problem = str(damaged)
        record = _damaged(assignment, problem)
    return record, f"Fault {_named(assignment)}: {problem}, so that it is healed now" if problem else ""


def _assignment(entry: Mapping[str, Any]) -> tuple[Assignment, str]:
    """Parse what was assigned; with the problem if only its details are damaged. Raises Damaged."""
    fields_ = _mapping(entry.get("assignment"), "assignment")
    action = _mapping(fields_.get("action"), "action")
    kind = action.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Damaged(f"action.kind is {shown(kind)}, none of {', '.join(KINDS)}")
    made: type[Any] = KINDS[kind].action
    nothing = Assignment(**{name: fields_.get(name) for name in _identity()}, cluster="", action=made())  # type: ignore[arg-type]
    _checked(nothing)
    for name in ("fault_uid", "pod_uid"):
        if not is_uid(getattr(nothing, name)):
            raise Damaged(f"{name} is {shown(getattr(nothing, name))}, not a uid")
    try:
        details = {name: value for name, value in action.items() if name != "kind"}
        whole = _built(Assignment, {**fields_, "action": _built(made, details)})
    except Damaged as damaged:
        return nothing, str(damaged)
    return whole, ""


def _identity() -> tuple[str, ...]:
    return ("fault_uid", "namespace", "name", "pod_uid", "pod")


def _record(assignment: Assignment, entry: Mapping[str, Any]) -> FaultRecord:
    record = _built(FaultRecord, {**entry, "assignment": assignment})
    if not record.boot_id:
        raise Damaged("boot_id is empty")
    if record.state not in _STATES:
        raise Damaged(f"state is {shown(record.state)}")
    for name in _STAMPS:
        try:
            datetime.fromisoformat(getattr(record, name) or "2026-01-01")
        except ValueError:
            raise Damaged(f"{name} is {shown(getattr(record, name))}, not a time") from None
    return record


def _damaged(assignment: Assignment, problem: str) -> FaultRecord:
    said = f"the record of this fault in the node's journal is damaged ({problem}): it was ended, its effect is unknown"
    return FaultRecord(assignment=assignment, boot_id="", deadline_ns=0, problem=said)


def _built(kind: type[T], values: Mapping[str, Any]) -> T:
    """Build a dataclass from JSON, whose lists become tuples. Raises Damaged."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # T is a dataclass
    if unknown := sorted(values.keys() - set(names)):
        raise Damaged(f"{shown(unknown[0])} is no field of it")
    try:
        return _checked(kind(**{name: _tuple(value) for name, value in values.items()}))
    except TypeError:
        missing = next(name for name in names if name not in values)
        raise Damaged(f"{missing} is missing") from None


def _checked(made: T) -> T:
    """Return the value if each field has its declared type. Raises Damaged, which names the first that has not."""
    for name, kind in get_type_hints(type(made)).items():
        value = getattr(made, name)
        if problem := next(_problems(value, kind), ""):
            raise Damaged(f"{name} is {shown(value)}, {problem}")
    return made


def _problems(value: object, kind: Any) -> Iterator[str]:
    expected = get_args(kind) if isinstance(kind, UnionType) else (get_origin(kind) or kind,)
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        yield f"not {' or '.join(_words(each) for each in expected)}"
    elif isinstance(value, tuple) and not all(isinstance(item, str) for item in value):
        yield "not a list of texts"
    elif type(value) is int and not 0 <= value < _MAX_NUMBER:
        yield "out of bounds"


def _words(kind: type) -> str:
    return {str: "a text", int: "a whole number", tuple: "a list", bool: "true or false", type(None): "null"}.get(
        kind, kind.__name__
    )


def _mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Damaged(f"{name} is {shown(value)}, not an object")
    return value


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _named(assignment: Assignment) -> str:
    return f"{assignment.namespace}/{assignment.name} on pod {assignment.pod}"
