"""The drill records of suites and runs: read from results alone, and written beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..files import results
from ..model.fields import FieldError
from ..report.drill_record import Drill, RawHistory, drill_html, drill_markdown
from . import plans
from .plans import PlannedRun, SuitePlan
from .reading import (
    command_of,
    described_machine,
    description_of,
    judged_runs,
    plan_around,
    read_report,
    runs_without_verdict,
)


def write_suite(folder: Path) -> list[Path]:
    """Write one record of all runs of a suite, and why some have no verdict; return the paths of its files."""
    plan = plans.read(folder)
    judged = judged_runs(folder, plan)
    drills = [_drill(folder / planned.folder, plan, planned) for planned in judged]
    return _write(folder, drills, f"Drill record: suite {plan.suite}", runs_without_verdict(folder, plan, judged))


def write_run(folder: Path) -> list[Path]:
    """Write the record of one run; return the paths of its files."""
    drill = _drill(folder, *plan_around(folder))
    return _write(folder, [drill], f"Drill record: {drill.report.name}")


def _write(folder: Path, drills: list[Drill], title: str, missing: Sequence[tuple[str, str]] = ()) -> list[Path]:
    markdown = drill_markdown(drills, missing)
    return results.write_drill_record(folder, markdown, drill_html(markdown, title))


def _drill(folder: Path, plan: SuitePlan | None, planned: PlannedRun | None) -> Drill:
    report = read_report(folder)
    return Drill(
        report=report,
        lab_version=__version__,
        command=command_of(planned),
        machine=described_machine(plan.machine) if plan else "",
        description=description_of(folder),
        raw=_raw(folder),
    )


def _raw(folder: Path) -> RawHistory | None:
    """Describe a run's history; None if it is gone. FieldError if it is damaged: its digest would prove nothing."""
    try:
        size, digest = results.history_digest(folder)
        operations = results.read_history(folder).num_rows
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise FieldError(f"{folder / results.HISTORY}: {error}") from error
    return RawHistory(name=results.HISTORY, size=size, sha256=digest, operations=operations)
