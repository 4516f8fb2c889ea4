"""The folders of runs (record, history, journal, findings, picture) and of suites; written and read here only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pyarrow import parquet  # type: ignore[import-untyped]  # pyarrow has no stubs

from . import history_file
from .check.finding import Finding
from .documents import read_json, write_whole
from .model.bounds import Bounds
from .model.fields import FieldError
from .model.history import Table
from .model.runs import RunRecord

HISTORY, RECORD, JOURNAL, FINDINGS = "history.parquet", "run.json", "journal.json", "findings.json"
TIMELINE, LOG = "timeline.svg", "run.log"
VERDICT, SUMMARY, JUNIT = "verdict.json", "summary.md", "junit.xml"  # of a suite
# Which of caplab/schemas a file follows. Within a version fields are only added: readers pass over unknown ones.
VERDICT_SCHEMA, FINDINGS_SCHEMA = "caplab.dev/verdict/v1", "caplab.dev/findings/v1"

_MOST_JOURNAL_BYTES = 256 << 20
_DEFAULT = Bounds()


def write_run(folder: Path, record: RunRecord, history: Table) -> None:
    """Keep what a run was and what its clients saw."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, record.to_json())
    # Sorted by invoke_ns, as the schema has it: probers write operations down as they end.
    parquet.write_table(history.sort_by("invoke_ns"), folder / HISTORY, compression="zstd", write_page_checksum=True)


def write_findings(folder: Path, findings: Iterable[Finding]) -> None:
    """Keep what the checkers said."""
    plain = [finding.to_json() for finding in findings]
    write_json(folder / FINDINGS, {"schema": FINDINGS_SCHEMA, "findings": plain})


def write_journal(folder: Path, journal: Mapping[str, Any]) -> None:
    """Keep Chaos Toolkit's journal; what is no JSON in it is kept as text."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / JOURNAL, journal)


def read_journal(folder: Path) -> dict[str, Any]:
    """What `write_journal` wrote. OSError where it is not there, ValueError where it is no such thing."""
    journal = read_json(folder / JOURNAL, _MOST_JOURNAL_BYTES)
    if not isinstance(journal, dict) or not isinstance(journal.get("caplab") or {}, dict):
        raise FieldError(f"{folder / JOURNAL}: no journal of a measured run.")
    return journal


def is_judged(folder: Path) -> bool:
    """Whether a run came to its end and has its verdict, whichever; what was interrupted or failed has none."""
    if not all((folder / name).is_file() for name in (RECORD, HISTORY, FINDINGS)):
        return False
    try:
        said = read_journal(folder).get("caplab") or {}
    except (OSError, ValueError):
        return False
    return "verdict" in said and not said.get("error")


def write_log(folder: Path, text: str) -> None:
    """Add to a run's log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(f"{text.rstrip()}\n")


def write_picture(folder: Path, svg: str) -> None:
    """Keep the run's timeline."""
    (folder / TIMELINE).write_text(svg, encoding="utf-8")


def write_suite(folder: Path, verdict: str, summary: str, junit: str) -> None:
    """Keep what is said of a suite as a whole; each file whole at any time."""
    for name, text in ((VERDICT, verdict), (SUMMARY, summary), (JUNIT, junit)):
        write_whole(folder / name, text)


def read_run(folder: Path, bounds: Bounds = _DEFAULT) -> tuple[RunRecord, Table]:
    """What `write_run` wrote. OSError: it is not there; ValueError: it is no such thing; TooMuch: over the bounds."""
    record = RunRecord.from_json(read_json(folder / RECORD))
    return record, history_file.read(folder / HISTORY, bounds)


def write_json(path: Path, value: Any) -> None:
    """Keep a value in a file that is whole at any time; what is no JSON in it is kept as text."""
    write_whole(path, json.dumps(value, indent=1, default=str) + "\n")
