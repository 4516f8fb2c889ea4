"""Histories of events as files of a test: what is read from their text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caplab.files.formats.reading import read
from caplab.files.formats.recording import Recording
from caplab.model.disorder import validate_stored


def recording_of(folder: Path, text: str, name: str = "history.edn") -> Recording:
    (folder / name).write_text(text, encoding="utf-16-le" if text.startswith(chr(0xFEFF)) else "utf-8")
    recording = read(folder / name)
    validate_stored(recording.table)
    return recording


def rows_of(folder: Path, text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = recording_of(folder, text).table.to_pylist()
    return rows


def picked(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row.get(name) for name in names) for row in rows]
