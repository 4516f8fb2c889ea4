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
from typing import Any

from .faults import Entry, Freeze, Kill, Order, Partition, What

_FORMAT = 2
_KINDS: dict[str, type[What]] = {"kill": Kill, "freeze": Freeze, "partition": Partition}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_log = logging.getLogger(__name__)


class Journal:
    """The file; its folder is made."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[Entry]:
        """All entries; a file that cannot be understood is set aside, and its faults heal as lost ones."""
        try:
            text = self._file.read_text()
        except FileNotFoundError:
            return []
        try:
            return entries_from(json.loads(text))
        except (ValueError, TypeError, KeyError) as error:
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
    return Entry(order=Order(**order, what=kind(**_tuples(what))), **_tuples(fields))


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
