"""What the agent has begun and not settled yet, in one file on the node.

Written before anything is done, and enough to heal by without an API server. The file is replaced as a whole, and
not synced to disk: it has to outlive the agent, not the node's boot, and after another boot there is nothing to heal.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_origin, get_type_hints

from .faults import Assignment, FaultAction, FaultRecord, Freeze, Kill, Partition

_FORMAT = 2
_KINDS: dict[str, type[FaultAction]] = {"kill": Kill, "freeze": Freeze, "partition": Partition}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_log = logging.getLogger(__name__)

T = TypeVar("T")


class Journal:
    """The file; its folder is made."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[FaultRecord]:
        """All records; a file that cannot be understood is set aside, and its faults heal as lost ones."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return []
        try:
            return records_from(json.loads(content))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            aside = self._file.with_suffix(".unreadable")
            self._file.replace(aside)
            _log.error("%s cannot be understood (%r): set aside as %s", self._file, error, aside)
            return []

    def write(self, records: Iterable[FaultRecord]) -> None:
        """Replace the file. Raises OSError."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps({"format": _FORMAT, "entries": [_fields(record) for record in records]}))
        draft.replace(self._file)


def records_from(document: Mapping[str, Any]) -> list[FaultRecord]:
    """The records of a journal's document. Raises ValueError, TypeError, KeyError."""
    if document["format"] != _FORMAT:
        raise ValueError(f"format is {document['format']!r}, not {_FORMAT}")
    return [_record(dict(fields)) for fields in document["entries"]]


def _fields(record: FaultRecord) -> dict[str, Any]:
    """A record as the file has it: format 2 keeps the names that it began with."""
    fields = asdict(record)
    assignment = fields.pop("assignment")
    action = {**assignment.pop("action"), "kind": _NAMES[type(record.assignment.action)]}
    protected = fields.pop("protected_addresses")
    return {"order": {**assignment, "what": action}, **fields, "spared": protected}


def _record(fields: dict[str, Any]) -> FaultRecord:
    assignment = dict(fields.pop("order"))
    action = dict(assignment.pop("what"))
    kind = _KINDS[action.pop("kind")]
    made = _checked(Assignment(**assignment, action=_checked(kind(**_tuples(action)))))
    protected = fields.pop("spared", [])
    return _checked(FaultRecord(assignment=made, **_tuples({**fields, "protected_addresses": protected})))


def _checked(made: T) -> T:
    """As it is, if each field is of the type that it is declared with; TypeError names the first that is not."""
    for name, kind in get_type_hints(type(made)).items():
        value = getattr(made, name)
        expected = kind if isinstance(kind, UnionType) else get_origin(kind) or kind
        if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"{type(made).__name__}.{name} is {value!r}")
        if isinstance(value, tuple) and not all(isinstance(item, str) for item in value):
            raise TypeError(f"{type(made).__name__}.{name} is {value!r}")
    return made


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
