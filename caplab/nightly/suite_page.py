"""The page of a suite, from its folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import plans, results
from ..documents import read_json, read_text
from ..judging import expectations
from ..report.cap_evidence import Evidence
from ..report.cap_table import measured_tables
from . import folders
from .outcomes import MOST_BYTES, Codes, judge, wanted
from .summary import Parts, page


def cap_table_of(folder: Path) -> str:
    """What a suite measured, as the CAP table's lines; '' where nothing was. FieldError, OSError as for any file."""
    said = folders.named(folder.resolve())
    if not said or not (folder / results.VERDICT).is_file():
        return ""
    begun, suite = said
    verdict: Any = read_json(folder / results.VERDICT)
    machine = asdict(plans.read(folder).machine)
    whole = {"suite": suite, **verdict, "date": f"{begun:%Y-%m-%d %H:%M:%S} UTC", "machine": machine}
    return measured_tables(expectations(), Evidence.from_json(str(folder / results.VERDICT), whole))


def page_of(folder: Path | None, suite: str, codes: Codes, fail_on: str, **more: Any) -> str:
    """The page of a suite's folder; None: it left none. more: changes, notes and most_bytes, as of `Parts`."""
    most_bytes = more.pop("most_bytes", MOST_BYTES)
    runs = folder / results.SUMMARY if folder else None
    parts = Parts(
        suite=suite or (folder.name if folder else "suite"),
        table=cap_table_of(folder) if folder else "",
        runs=read_text(runs) if runs and runs.is_file() else "",
        **more,
    )
    return page(parts, judge(codes, wanted(fail_on)), codes, most_bytes)
