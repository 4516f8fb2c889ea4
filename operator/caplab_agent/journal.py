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

from .faults import Entry, Freeze, Kill, Order, Partition, What

_FORMAT = 2
_KINDS: dict[str, type[What]] = {"kill": Kill, "freeze": Freeze, "partition": Partition}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_log = logging.getLogger(__name__)

T = TypeVar("T")


class Journal:
    """The file; its folder is made."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[Entry]:
        """All entries; a file that cannot be understood is set aside, and its faults heal as lost ones."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return []
        try:
            return entries_from(json.loads(content))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            aside = self._file.with_suffix(".unreadable")
            self._file.replace(aside)
            _log.error("%s cannot be understood (%r): set aside as %s", self._file, error, aside)
            return []

    def write(self, entries: Iterable[Entry]) -> None:
        """Replace the file. Raises OSError."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps({"format": _FORMAT, "entries": [_fields(entry) for entry in entries]}))
        draft.replace(self._file)


def entries_from(document: Mapping[str, Any]) -> list[Entry]:
    """The entries of a journal's document. Raises ValueError, TypeError, KeyError."""
    if document["format"] != _FORMAT:
        raise ValueError(f"format is {document['format']!r}, not {_FORMAT}")
    return [_entry(dict(one)) for one in document["entries"]]


def _fields(entry: Entry) -> dict[str, Any]:
    fields = asdict(entry)
    fields["order"]["what"]["kind"] = _NAMES[type(entry.order.what)]
    return fields


def _entry(fields: dict[str, Any]) -> Entry:
    order = dict(fields.pop("order"))
    what = dict(order.pop("what"))
    kind = _KINDS[what.pop("kind")]
    made = _sound(Order(**order, what=_sound(kind(**_tuples(what)))))
    return _sound(Entry(order=made, **_tuples(fields)))


def _sound(made: T) -> T:
    """As it is, if each field is of the type that it is declared with; TypeError names the first that is not."""
    for name, kind in get_type_hints(type(made)).items():
        value = getattr(made, name)
        expected = kind if isinstance(kind, UnionType) else get_origin(kind) or kind
        if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"{type(made).__name__}.{name} is {value!r}")
        if isinstance(value, tuple) and not all(isinstance(one, str) for one in value):
            raise TypeError(f"{type(made).__name__}.{name} is {value!r}")
    return made


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
