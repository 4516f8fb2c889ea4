"""Measure report.html: its size, the time to make it, and the time until a browser shows it.

python bench/report_page.py results/TIME-SUITE    a suite's folder, its page made three times
python bench/report_page.py --operations 10000000    one run of so many generated operations
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from big_history import make
from playwright.sync_api import sync_playwright

from caplab.check import check_history
from caplab.files.chart_library import chart_library
from caplab.judging import expectations
from caplab.model.runs import Baseline, RunRecord, WallAnchor
from caplab.report.html.history import view_of
from caplab.report.html.page import page
from caplab.report.html.values import RunPage, SuitePage
from caplab.report.values import RunReport
from caplab.run import pages
from caplab.verdict import judge

_REPEATS = 3
_OPENED = "document.querySelector('article') !== null"


def main() -> None:
    """Print what was measured, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path, nargs="?")
    parser.add_argument("--operations", type=int, default=0)
    options = parser.parse_args()
    chart_library()  # once a machine: it is kept in the cache
    with tempfile.TemporaryDirectory() as scratch:
        file = _of_suite(options.suite) if options.suite else _of_big_run(options.operations, Path(scratch))
        print(f"page: {file.stat().st_size / 1e6:.2f} MB")
        _open(file)


def _of_suite(folder: Path) -> Path:
    walls, cpus = [], []
    for _ in range(_REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        file = pages.write_suite(folder, {})
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(f"made in {min(walls):.1f} s at best, {statistics.median(cpus):.1f} s of processor time (median)")
    return file


def _of_big_run(operations: int, scratch: Path) -> Path:
    made = make(operations)
    context = made.context
    record = RunRecord(
        experiment="A primary is killed", engine="postgres", mode="quorum", fault="kill-primary", settings={}, seed=1,
        fault_windows=context.fault_windows, boot_id="", wall_anchor=WallAnchor(0, 0), versions={},
        baseline=Baseline(True), final_scan=context.final_scan, steady_ns=context.steady_ns,
    )  # fmt: skip
    findings = check_history(made.history, context, ["durability", "availability"])
    verdict = judge(expectations().find("postgres", "quorum", "kill-primary"), record, findings)
    report = RunReport(
        name=verdict.row, run_id="big", record=record, verdict=verdict, findings=findings, clock=None, seconds={}
    )
    cpu = time.process_time()
    run = RunPage(report=report, view=view_of(made.history, report))
    text = page(
        SuitePage(suite=f"{made.history.num_rows:,} operations", machine="", made="", runs=[run]), chart_library()
    )
    print(f"made in {time.process_time() - cpu:.1f} s of processor time, after reading and judging")
    file = scratch / "report.html"
    file.write_text(text)
    return file


def _open(file: Path) -> None:
    """Open the table, and then its first run, each in a new page."""
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        for what, where in (("the table", ""), ("its first run", "#run-1")):
            paints, opened = [], []
            for _ in range(_REPEATS):
                tab = browser.new_page()
                began = time.perf_counter()
                tab.goto(f"file://{file.resolve()}{where}")
                if where:
                    tab.wait_for_function(_OPENED)
                opened.append(time.perf_counter() - began)
                paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
                tab.wait_for_function(f"{paint} > 0")
                paints.append(float(tab.evaluate(paint)) / 1000)
                tab.close()
            print(f"{what}: first paint after {min(paints):.2f} s at best, open after {min(opened):.2f} s")
        browser.close()


if __name__ == "__main__":
    main()
