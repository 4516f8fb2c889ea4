"""The folder of a run: record, history, journal, findings, picture; written and read here only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pyarrow import parquet  # type: ignore[import-untyped]  # pyarrow has no stubs

from . import history_file
from .check.finding import Finding
from .model.fields import FieldError
from .model.history import Table
from .model.runs import RunRecord

HISTORY, RECORD, JOURNAL, FINDINGS = "history.parquet", "run.json", "journal.json", "findings.json"
TIMELINE = "timeline.svg"


def write_run(folder: Path, record: RunRecord, history: Table) -> None:
    """Keep what a run was and what its clients saw."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / RECORD, record.to_json())
    # Sorted by invoke_ns, as the schema has it: probers write operations down as they end.
    parquet.write_table(history.sort_by("invoke_ns"), folder / HISTORY, compression="zstd", write_page_checksum=True)


def write_findings(folder: Path, findings: Iterable[Finding]) -> None:
    """Keep what the checkers said."""
    _write(folder / FINDINGS, [finding.to_json() for finding in findings])


def write_journal(folder: Path, journal: Mapping[str, Any]) -> None:
    """Keep Chaos Toolkit's journal; what is no JSON in it is kept as text."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / JOURNAL, journal)


def write_picture(folder: Path, svg: str) -> None:
    """Keep the run's timeline."""
    (folder / TIMELINE).write_text(svg, encoding="utf-8")


def read_run(folder: Path) -> tuple[RunRecord, Table]:
    """What `write_run` wrote. OSError where it is not there, ValueError where it is no such thing."""
    text = (folder / RECORD).read_text(encoding="utf-8")
    try:
        record = RunRecord.from_json(json.loads(text))
    except json.JSONDecodeError as error:
        raise FieldError(f"{folder / RECORD}: not JSON: {error}") from error
    return record, history_file.read(folder / HISTORY)


def _write(path: Path, value: Any) -> None:
    """Whole at any time."""
    draft = path.with_suffix(path.suffix + ".draft")
    draft.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")
    draft.replace(path)
