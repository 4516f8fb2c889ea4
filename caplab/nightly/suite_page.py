"""The page of a suite, from its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..files import results
from ..files.documents import read_json, read_text
from ..judging import expectations
from ..model.fields import FieldError, Fields
from ..plain_text import one_line
from ..report.cap_table.evidence import Evidence
from ..report.cap_table.page import measured_tables
from ..run import plans
from . import folders
from .outcomes import MAX_BYTES, Codes, judge, wanted
from .summary import Parts, page


def cap_table_of(folder: Path) -> str:
    """Return a suite's results as the CAP table's lines; '' without any. FieldError, OSError as for any file."""
    begun_and_suite = folders.named(folder.resolve())
    if not begun_and_suite or not (folder / results.VERDICT).is_file():
        return ""
    begun, suite = begun_and_suite
    verdict = Fields.of(results.VERDICT, read_json(folder / results.VERDICT))
    machine = asdict(plans.read(folder).machine)
    whole = {"suite": suite, **verdict.values, "date": f"{begun:%Y-%m-%d %H:%M:%S} UTC", "machine": machine}
    return measured_tables(expectations(), Evidence.from_json(str(folder / results.VERDICT), whole))


def page_of(folder: Path | None, suite: str, codes: Codes, fail_on: str, **more: Any) -> str:
    """Build the page of a suite's folder; None: it left none. more: changes, notes and max_bytes, as in `Parts`.

    A file that cannot be read, as a killed suite may leave one, becomes a note; the other parts stay.
    """
    max_bytes, notes = more.pop("max_bytes", MAX_BYTES), list(more.pop("notes", ()))
    parts = Parts(
        suite=suite or (folder.name if folder else "suite"),
        table=_part(cap_table_of, folder, notes),
        runs=_part(_runs_of, folder, notes),
        notes=notes,
        **more,
    )
    return page(parts, judge(codes, wanted(fail_on)), codes, max_bytes)


def _runs_of(folder: Path) -> str:
    file = folder / results.SUMMARY
    return read_text(file) if file.is_file() else ""


def _part(read: Callable[[Path], str], folder: Path | None, notes: list[str]) -> str:
    try:
        return read(folder) if folder else ""
    except (FieldError, OSError) as error:
        notes.append(f"A part of this page is missing: {one_line(str(error))}")
        return ""
