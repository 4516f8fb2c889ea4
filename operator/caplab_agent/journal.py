"""The journal: the agent's fault records that are not settled yet, in one file on the node.

It is written before anything is done, and suffices to heal without an API server. The file is replaced as a whole and
not synced to disk: it has to outlive the agent but not the node's boot, since after a reboot there is nothing to heal.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_origin, get_type_hints

from .faults import Assignment, FaultRecord
from .injectors import KINDS, kind_of

_FORMAT = 3
_log = logging.getLogger(__name__)

T = TypeVar("T")


class Journal:
    """The journal's file, whose folder is created."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[FaultRecord]:
        """Read all records. An unreadable file is set aside, and its faults are healed as lost ones."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return []
        try:
            return records_from(json.loads(content))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            aside = self._file.with_suffix(".unreadable")
            self._file.replace(aside)
            _log.error("%s is unreadable (%r) and was moved to %s", self._file, error, aside)
            return []

    def write(self, records: Iterable[FaultRecord]) -> None:
        """Replace the file with these records. Raises OSError."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps({"format": _FORMAT, "entries": [_fields(record) for record in records]}))
        draft.replace(self._file)


def records_from(document: Mapping[str, Any]) -> list[FaultRecord]:
    """Parse the records of a journal's document. Raises ValueError, TypeError, KeyError."""
    if document["format"] != _FORMAT:
        raise ValueError(f"format is {document['format']!r}, not {_FORMAT}")
    return [_record(dict(fields)) for fields in document["entries"]]


def _fields(record: FaultRecord) -> dict[str, Any]:
    fields = asdict(record)
    fields["assignment"]["action"]["kind"] = kind_of(record.assignment)
    return fields


def _record(fields: dict[str, Any]) -> FaultRecord:
    assignment = dict(fields.pop("assignment"))
    action = dict(assignment.pop("action"))
    kind: type[Any] = KINDS[action.pop("kind")].action
    made = _checked(Assignment(**assignment, action=_checked(kind(**_tuples(action)))))
    return _checked(FaultRecord(assignment=made, **_tuples(fields)))


def _checked(made: T) -> T:
    """Return the value if each field has its declared type. Raises TypeError, which names the first that has not."""
    for name, kind in get_type_hints(type(made)).items():
        value = getattr(made, name)
        expected = kind if isinstance(kind, UnionType) else get_origin(kind) or kind
        if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"{type(made).__name__}.{name} is {value!r}")
        if isinstance(value, tuple) and not all(isinstance(item, str) for item in value):
            raise TypeError(f"{type(made).__name__}.{name} is {value!r}")
    return made


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the lists of JSON to tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
