"""The folders of runs (record, history, journal, findings, picture) and of suites; only this module accesses them."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pyarrow import parquet, types  # type: ignore[import-untyped]  # pyarrow has no stubs

from ..check.finding import Finding
from ..contract.names import FINDINGS_SCHEMA
from ..model.bounds import Bounds
from ..model.fields import FieldError, Fields
from ..model.history import Table
from ..model.runs import RunRecord
from . import history_file
from .documents import read_json, replace_whole, replaced

HISTORY, RECORD, JOURNAL, FINDINGS = "history.parquet", "run.json", "journal.json", "findings.json"
TIMELINE, LOG = "timeline.svg", "run.log"
VERDICT, SUMMARY, JUNIT, PAGE = "verdict.json", "summary.md", "junit.xml", "report.html"  # of a suite
DRILL, DRILL_PAGE = "record.md", "record.html"
CHARTS = "charts"  # a folder of a run's
_MAX_JSON_BYTES = 256 << 20  # of a journal, or of findings
_MOST_DIGITS = 20  # of whole numbers of 64 bits, with their sign
_DEFAULT = Bounds()


def write_run(folder: Path, record: RunRecord, history: Table) -> None:
    """Write a run's record and its history."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, record.to_json())
    # Sorted by invoke_ns, as the schema requires: probers write operations when they end.
    write_history(folder / HISTORY, history.sort_by("invoke_ns"))


def write_history(path: Path, history: Table) -> None:
    """Write a history's file, atomically. Times and values grow: their differences take half the room of themselves."""
    whole = [field.name for field in history.schema if types.is_integer(field.type)]
    others = [leaf for field in history.schema if field.name not in whole for leaf in _leaves(field, field.name)]
    with replaced(path) as draft:
        parquet.write_table(
            history,
            draft,
            compression="zstd",
            write_page_checksum=True,
            use_dictionary=others,
            column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
        )


def _leaves(field: Any, path: str) -> list[str]:
    """Return the paths of a column's leaves, as Parquet names them."""
    if types.is_list(field.type):
        return _leaves(field.type.value_field, f"{path}.list.element")
    if types.is_struct(field.type):
        return [leaf for inner in field.type for leaf in _leaves(inner, f"{path}.{inner.name}")]
    return [path]


def write_findings(folder: Path, findings: Iterable[Finding]) -> None:
    """Write the checkers' findings."""
    plain = [finding.to_json() for finding in findings]
    write_json(folder / FINDINGS, {"schema": FINDINGS_SCHEMA, "findings": plain})


def read_findings(folder: Path) -> tuple[Finding, ...]:
    """Read the checkers' findings. OSError if there are none, FieldError if they are not findings."""
    fields = Fields.of(FINDINGS, read_json(folder / FINDINGS, _MAX_JSON_BYTES, _MOST_DIGITS))
    return tuple(Finding.from_fields(finding) for finding in fields.objects("findings"))


def write_journal(folder: Path, journal: Mapping[str, Any]) -> None:
    """Write Chaos Toolkit's journal; values that JSON lacks are written as text."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / JOURNAL, journal)


def read_journal(folder: Path) -> dict[str, Any]:
    """Read a journal. OSError if it does not exist, ValueError if it is not a journal."""
    journal = read_json(folder / JOURNAL, _MAX_JSON_BYTES, _MOST_DIGITS)
    if not isinstance(journal, dict) or not isinstance(journal.get("caplab") or {}, dict):
        raise FieldError(f"{folder / JOURNAL}: not the journal of a measured run.")
    return journal


def is_judged(folder: Path) -> bool:
    """Return whether a run ended with a verdict of any kind; an interrupted or failed one has none.

    The verdict outlives the history, which takes most of the room.
    """
    try:
        return judged_outcome(folder) is not None
    except (OSError, ValueError):
        return False


def judged_outcome(folder: Path) -> dict[str, Any] | None:
    """Read what a run's control wrote into its journal; None if the run has no verdict.

    OSError or ValueError if the journal cannot be read.
    """
    outcome = read_journal(folder).get("caplab") or {}
    has_files = all((folder / name).is_file() for name in (RECORD, FINDINGS))
    return outcome if has_files and "verdict" in outcome and not outcome.get("error") else None


def write_log(folder: Path, text: str) -> None:
    """Append to a run's log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(f"{text.rstrip()}\n")


def write_picture(folder: Path, svg: str) -> None:
    """Write the run's timeline."""
    replace_whole(folder / TIMELINE, svg)


def write_suite(folder: Path, verdict: str, summary: str, junit: str) -> None:
    """Write the suite's reports, each file atomically."""
    for name, text in ((VERDICT, verdict), (SUMMARY, summary), (JUNIT, junit)):
        replace_whole(folder / name, text)


def write_page(folder: Path, page: str) -> Path:
    """Write the page of a suite, or of a run, atomically; return its path."""
    replace_whole(folder / PAGE, page)
    return folder / PAGE


def write_drill_record(folder: Path, markdown: str, page: str) -> list[Path]:
    """Write the record of drills as Markdown and as a page, each atomically; return their paths."""
    written = {folder / DRILL: markdown, folder / DRILL_PAGE: page}
    for path, text in written.items():
        replace_whole(path, text)
    return list(written)


def refuse_link(folder: Path) -> None:
    """Raise OSError if a folder to write in is a link."""
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a link, which may lead to somebody else's folder", str(folder))


def write_charts(folder: Path, charts: Mapping[str, bytes]) -> Path:
    """Write a run's charts, each atomically; return their folder. OSError if it is a link to another."""
    refuse_link(folder / CHARTS)
    (folder / CHARTS).mkdir(exist_ok=True)
    for name, content in charts.items():
        replace_whole(folder / CHARTS / name, content)
    return folder / CHARTS


def history_digest(folder: Path) -> tuple[int, str]:
    """Return the size of a run's history in bytes, and its SHA-256 in hex. OSError if there is none."""
    with (folder / HISTORY).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def read_record(folder: Path) -> RunRecord:
    """Read a run's record. OSError if there is none, FieldError if it is not a record."""
    return RunRecord.from_json(read_json(folder / RECORD))


def read_run(folder: Path, bounds: Bounds = _DEFAULT) -> tuple[RunRecord, Table]:
    """Read a run's record and history; raises what `read_record` and `read_history` raise."""
    return read_record(folder), read_history(folder, bounds)


def read_history(folder: Path, bounds: Bounds = _DEFAULT) -> Table:
    """Read a run's history. OSError: missing; ValueError: not a history; TooMuch: over the bounds."""
    return history_file.read(folder / HISTORY, bounds)


def write_json(path: Path, value: Any) -> None:
    """Write a value atomically; values that JSON lacks are written as text."""
    replace_whole(path, json.dumps(value, indent=1, default=str) + "\n")
