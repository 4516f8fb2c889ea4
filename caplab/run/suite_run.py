"""A suite under way: each run is announced, made, shown and stored in turn. Its own control judges it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import grafana
from ..files import results
from ..judging import JudgedRun, judge_folder, read_judged
from ..ownership import SuiteSession
from ..plain_text import Out, PlainWriter, SteadyWriter, report_columns, wants_colour
from ..report import words
from ..report.junit import LabFailure
from ..report.progress import RunAhead, RunDuration, announcement, time_left
from ..report.terminal import render_run, render_suite
from ..report.values import RunReport
from ..run_context import RunContext
from . import pages, resuming, tidy
from .plans import PlannedRun, SuitePlan
from .stored import exit_code, failures_of, rendered, reports_of, write_reports
from .toolkit import RunFailed, drive


class SuiteRun:
    """The runs of a plan, made or kept, in a suite's folder; files are the experiments' by their name.

    before is the duration of earlier runs, the oldest first: those of this suite are added.
    """

    def __init__(
        self,
        plan: SuitePlan,
        files: Mapping[str, Path],
        folder: Path,
        before: Sequence[RunDuration],
        out: Out,
        verbose: bool = False,
    ) -> None:
        self._suite_session = SuiteSession()
        self.ended: list[RunReport | LabFailure] = []
        self._plan, self._files, self._folder, self._out = plan, files, folder, out
        self._lost = ""  # why results could not be saved: the suite ends there
        self._before = list(before)
        self._verbose = verbose
        self._grafana: grafana.Grafana | None = None
        self._no_grafana = ""  # why the environment's setting cannot be used

    @property
    def reports(self) -> list[RunReport]:
        """The reports of the runs that have a verdict."""
        return reports_of(self.ended)

    @property
    def failures(self) -> list[str]:
        """A sentence for each run that the lab could not make."""
        return failures_of(self.ended)

    def all(self) -> None:
        """Make every run without a verdict, in order, until one is interrupted, or results cannot be saved."""
        self._grafana, self._no_grafana = grafana.find()
        for run in self._plan.runs:
            try:
                if not (results.is_judged(self._folder / run.folder) and self._keep_run(run)):
                    self._make(run)
            except KeyboardInterrupt:
                self._fail(run, "interrupted", 0.0)
                break
            if self._lost:
                break

    def tidy(self) -> None:
        """Remove the clusters that this suite made; a failure is reported, and changes no verdict."""
        try:
            left = tidy.remove_made(self._suite_session)
        except Exception as error:
            left = [f"the clusters under test are left as they are: {error}"]
        for sentence in (*left, *tidy.left_by_others(self._suite_session)):
            self._say(f"note: {words.one_line(sentence)}")

    def end(self) -> int:
        """Show the whole suite and how it ended; return the exit code."""
        if self.reports:
            colour = wants_colour(self._out)
            self._say(render_suite(self.reports, colour=colour, verbose=self._verbose, width=report_columns()))
        self._write()
        if self._lost:
            where, hint = self._folder, "make room there, and continue with --resume"
            self._complain(f"results cannot be written to {where}: {self._lost}. Hint: {hint}.")
        for failure in self.failures:
            self._complain(failure)
        self._say(f"results: {self._folder}")
        self._write_page()
        if missing := len(self._plan.runs) - len(self.reports):
            what = f"{missing} of {len(self._plan.runs)} runs have no verdict"
            self._say(f"{what}; to make them: caplab run {self._plan.name} --resume {self._folder}")
        failed = len(self.failures) + bool(self._lost)
        return exit_code([report.verdict.state for report in self.reports], failed)

    def _make(self, run: PlannedRun) -> None:
        """Make one run up to its verdict. Any error in it is its own failure: the others are still made."""
        self._announce(run, time_left(self._runs_left(run), self._before))
        folder, began, began_ms = self._folder / run.folder, time.monotonic(), _now_ms()
        try:
            out = PlainWriter(self._out)
            context = RunContext(folder=folder, suite=self._plan.suite, suite_session=self._suite_session)
            journal = drive(self._files[run.experiment], run.settings, context, out)
            results.write_journal(folder, journal)
            report = rendered(folder, journal.get("caplab") or {}, concluded(folder, journal))
            colour = wants_colour(self._out)
            shown = render_run(report, colour=colour, verbose=self._verbose, width=report_columns())
        except RunFailed as failed:
            self._fail(run, str(failed), time.monotonic() - began)
            return
        except Exception as error:
            sentence = f"unexpected {type(error).__name__}: {error} ({_log_traceback(folder, traceback.format_exc())})"
            self._fail(run, sentence, time.monotonic() - began)
            return
        self._before.append(RunDuration(run.experiment, run.settings, time.monotonic() - began))
        self.ended.append(report)
        self._say(shown)
        self._write()
        self._show_in_grafana(folder, run, report, grafana.Span(began_ms, _now_ms()), journal)

    def _show_in_grafana(
        self, folder: Path, run: PlannedRun, report: RunReport, span: grafana.Span, journal: Mapping[str, Any]
    ) -> None:
        """Print where Grafana shows the run, and mark it there; a failure is noted, and changes nothing."""
        problem = self._no_grafana
        if self._grafana:
            labels = (journal.get("caplab") or {}).get("labels") or {}
            self._say(f"dashboard: {self._grafana.link(span, labels)}")
        if self._grafana and self._grafana.token:
            try:
                verdict = report.verdict.state.value
                self._grafana.mark(grafana.annotations_of(report.record, span, run.name, verdict))
            except grafana.NotMarked as error:
                problem = str(error)
            except Exception as error:
                problem = f"unexpected {type(error).__name__}"  # its message might contain the token
        if problem:
            sentence = words.one_line(f"not marked in Grafana: {problem}")
            self._say(f"note: {sentence}")
            _log_traceback(folder, f"WARNING caplab.run: {sentence}")

    def _keep_run(self, run: PlannedRun) -> bool:
        """Judge a run again from its folder, as the table may have changed; if that fails, it has to be made again."""
        folder = self._folder / run.folder
        try:
            report = rendered(folder, results.read_journal(folder)["caplab"], judge_folder(folder))
        except Exception as error:
            resuming.set_aside(folder)
            self._announce(run, f"cannot be kept, and is run again: {words.one_line(str(error))}")
            return False
        self.ended.append(report)
        self._announce(run, f"kept: {words.of_verdict(report.verdict.state)}")
        return True

    def _runs_left(self, first: PlannedRun) -> list[RunAhead]:
        """Return the runs that are left, from a run on."""
        later = [run for run in self._plan.runs[first.number :] if not results.is_judged(self._folder / run.folder)]
        return [RunAhead(run.experiment, run.settings) for run in (first, *later)]

    def _fail(self, run: PlannedRun, sentence: str, seconds: float) -> None:
        self.ended.append(LabFailure(run.experiment, run.name, sentence, seconds))
        self._say(f"  FAILED: {words.one_line(sentence)}")
        self._write()

    def _write(self) -> None:
        try:
            write_reports(self._folder, self._plan, self.ended)
        except OSError as error:
            self._lost = error.strerror or str(error)

    def _write_page(self) -> None:
        """Write the suite's page; one that cannot be made is noted, and changes no verdict."""
        if not self.reports or self._lost:
            return
        failures = {failure.name: failure.sentence for failure in self.ended if isinstance(failure, LabFailure)}
        try:
            self._say(f"report: {pages.write_suite(self._folder, failures)}")
        except Exception as error:
            trace = _log_traceback(self._folder, traceback.format_exc())
            self._say(f"note: no report.html: {type(error).__name__}: {words.one_line(str(error))} ({trace})")

    def _announce(self, run: PlannedRun, what: str) -> None:
        self._say(announcement(run.number, len(self._plan.runs), run.name, what))

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def _complain(self, sentence: str) -> None:
        print(f"FAILED: {words.one_line(sentence)}", file=SteadyWriter(sys.stderr), flush=True)


def concluded(folder: Path, journal: Mapping[str, Any]) -> JudgedRun:
    """Read what a run's control concluded. Raises RunFailed, with the reason, if it concluded nothing."""
    outcome = journal.get("caplab") or {}
    if error := outcome.get("error"):
        raise RunFailed(error)
    if not (folder / results.RECORD).exists():
        raise RunFailed(f"the experiment ended as {journal.get('status')}, and left no record")
    if "verdict" not in outcome:
        raise RunFailed(f"the experiment ended as {journal.get('status')}, and was not judged")
    return read_judged(folder, outcome)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _log_traceback(folder: Path, trace: str) -> str:
    """Write a traceback to a run's log, and say where it is."""
    try:
        results.write_log(folder, trace)
    except OSError as error:
        return f"its traceback could not be kept: {error.strerror}"
    return f"its traceback is in the run's {results.LOG}"
