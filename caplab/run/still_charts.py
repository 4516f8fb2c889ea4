"""The charts of suites and runs as SVG and PNG files: read from results alone, and written beside them."""

from __future__ import annotations

from pathlib import Path

from ..command_error import CommandError
from ..command_line.exits import complain
from ..files import results
from ..files.chart_library import png_of, svg_of
from ..report.html.still_charts import still_charts
from . import plans
from .pages import view_of_run
from .reading import judged_runs, read_report, runs_without_verdict


def write_suite(folder: Path) -> list[Path]:
    """Write the charts of every run of a suite that has a verdict, and complain of the others; return their folders.

    OSError if a run's folder is a link, which may lead to somebody else's.
    """
    plan = plans.read(folder)
    judged = judged_runs(folder, plan)
    runs = [folder / planned.folder for planned in judged]
    for run in runs:
        results.refuse_link(run)
    for name, why in runs_without_verdict(folder, plan, judged):
        complain(f"left out: {name}: {why}")
    return [write_run(run) for run in runs]


def write_run(folder: Path) -> Path:
    """Write the charts of one run; return their folder. CommandError if there is nothing to draw."""
    report = read_report(folder)
    view, problem = view_of_run(folder, report)
    charts = still_charts(report, view)
    if not charts:
        raise CommandError(f"{folder}: there is nothing to draw: {problem} Hint: name a run that has its history.")
    made = {}
    for name, chart in charts.items():
        made[f"{name}.svg"] = svg_of(chart).encode()
        made[f"{name}.png"] = png_of(chart)
    return results.write_charts(folder, made)
