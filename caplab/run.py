"""`caplab run`: a suite or an experiment, run after run, each judged, all of it in one folder."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from . import results, tidy
from .check.finding import State, merge
from .judging import Judged, experiments_folder, judge_folder
from .report.second_clock import clock_check
from .report.summary import summary_markdown, verdict_json
from .report.terminal import render_run, render_suite
from .report.timeline import timeline
from .report.values import RunReport
from .suites import Planned, Suite, find
from .toolkit import RunFailed, drive

EXIT_CODES = {State.HOLDS: 0, State.VIOLATED: 1, State.UNKNOWN: 2}
LAB_FAILED = 3


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks for; a run's settings override its suite's."""

    name: str
    repeat: int = 1
    settings: Mapping[str, str] | None = None
    folder: Path = Path("results")
    keep: bool = False


class SuiteRun:
    """One suite on its way: every run's report is shown and kept as it comes."""

    def __init__(self, suite: Suite, folder: Path, out: TextIO) -> None:
        self.reports: list[RunReport] = []
        self.failures: list[str] = []
        self._suite, self._folder, self._out = suite, folder, out

    def run(self, planned: Planned, number: int, of: int) -> None:
        """Run one experiment to its verdict; what the lab could not do is kept as a failure."""
        self._say(f"[{number}/{of}] {planned.name}")
        folder = self._folder / f"{number:02d}-{planned.experiment.replace('/', '-')}"
        try:
            report = self._report(planned, folder)
        except RunFailed as failed:
            self.failures.append(f"{planned.name}: {failed}")
            self._say(f"  FAILED: {failed}")
            return
        self.reports.append(report)
        self._say(render_run(report, colour=self._out.isatty()))
        self._keep()

    def tidy(self, namespace: str) -> None:
        """Remove the clusters under test; where that cannot be done it is said, and changes no verdict."""
        try:
            tidy.remove_clusters(namespace)
        except Exception as error:
            self._say(f"note: the clusters of namespace {namespace} are left as they are: {error}")

    def end(self) -> int:
        """Show the whole, and say how it ended: the exit code."""
        if self.reports:
            self._say(render_suite(self.reports, colour=self._out.isatty()))
        for failure in self.failures:
            self._say(f"FAILED: {failure}")
        self._keep()
        self._say(f"results: {self._folder}")
        return exit_code([report.verdict.state for report in self.reports], len(self.failures))

    def _report(self, planned: Planned, folder: Path) -> RunReport:
        journal = drive(planned.file, planned.settings, folder, self._suite.name, self._out)
        results.write_journal(folder, journal)
        said = journal.get("caplab") or {}
        if error := said.get("error"):
            raise RunFailed(error)
        if not (folder / results.RECORD).exists():
            raise RunFailed(f"the experiment ended as {journal.get('status')}, and left no record")
        judged = judge_folder(folder)
        report = report_of(said["run"], judged, said.get("seconds") or {})
        results.write_picture(folder, timeline(judged.history, report))
        return report

    def _keep(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        verdict = {**verdict_json(self.reports), "suite": self._suite.name, "failures": self.failures}
        (self._folder / "verdict.json").write_text(json.dumps(verdict, indent=1) + "\n")
        (self._folder / "summary.md").write_text(summary_markdown(self.reports))

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def report_of(run_id: str, judged: Judged, seconds: Mapping[str, float]) -> RunReport:
    """What is shown of a judged run; seconds by stage: pure."""
    clock = clock_check(judged.record, judged.findings)
    return RunReport(judged.verdict.row, run_id, judged.record, judged.verdict, judged.findings, clock, dict(seconds))


def exit_code(states: Sequence[State], failures: int) -> int:
    """0 all valid, 1 some invalid, 2 some unknown, 3 the lab itself failed: pure."""
    if failures or not states:
        return LAB_FAILED
    return EXIT_CODES[merge(states)]


def run(wishes: Wishes, out: TextIO = sys.stdout) -> int:
    """Run what is wished for; the exit code. Raises FieldError where there is no such thing."""
    suite = find(experiments_folder(), wishes.name, wishes.settings or {})
    runs = [planned for planned in suite.runs for _ in range(wishes.repeat)]
    now = datetime.datetime.now(datetime.UTC)
    under_way = SuiteRun(suite, wishes.folder / f"{now:%Y%m%d-%H%M%S}-{suite.name}", out)
    for number, planned in enumerate(runs, 1):
        try:
            under_way.run(planned, number, len(runs))
        except KeyboardInterrupt:
            under_way.failures.append(f"{planned.name}: interrupted")
            break
    if not wishes.keep:
        under_way.tidy((wishes.settings or {}).get("namespace", tidy.NAMESPACE))
    return under_way.end()
