"""One night in the cluster: removes what an earlier runner left; runs, compares, stores and reports the suite."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..command_error import CommandError
from ..kube.errors import reason_of
from ..model.fields import FieldError
from ..plain_text import one_line
from ..report.grid import escaped
from . import folders, notify
from .folders import Bounds
from .outcomes import Codes, Outcome, in_words, judge, plain, wanted
from .report import CHANGES, INTERRUPTED, PAGE, REPORT, TREND, UNDER_WAY, Report, UnderWay, now
from .store import Store, of_folder, opened
from .suite_page import page_of

PrintLine = Callable[[str], None]
Clear = Callable[[str, str], Sequence[str]]  # (namespace, reason) -> what was done there

LAB_FAILED = 3
BASELINE = "baseline"
_END_SECONDS = 90.0  # for a suite that is being ended: it heals its faults and removes its clusters
_COMPARE_SECONDS = 1200.0
_MIN_RUNS = "5"  # of a row: with fewer, beside 20, no regression is significant in a table as large as core's
_MAX_NOTE_BYTES = 1 << 20
_MAX_REPORTED = 500  # letters of an error in reports to others
_NO_BASELINE = {Outcome.INVALID, Outcome.REGRESSED}  # a broken or worse night must not become the next one's baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """The options. job, runner: the names of the Job and of its pod. keep_last: suites in the baseline.

    accept: the night is added to the baseline although it is invalid or worse.
    """

    suite: str
    repeat: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    namespace: str
    results: Path
    bucket: str = ""
    fail_on: str
    seconds: float
    bounds: Bounds = field(default_factory=Bounds)
    keep_last: int = 20
    accept: bool = False
    webhook: str = ""
    alertmanager: str = ""
    tell_always: bool = False
    runner: str = "unknown"
    job: str = ""


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """A suite's exit code and its folder; None if it left none."""

    code: int
    folder: Path | None
    notes: tuple[str, ...] = ()


def run_night(night: Night, clear: Clear, print_line: PrintLine) -> int:
    """Run a night and return its exit code.

    Raises FieldError if its options cannot be used, OSError if nothing can be stored, CommandError if another night is
    under way. Each of these is also reported to the webhook and to Alertmanager.
    """
    began = now()
    try:
        return _night(night, began, clear, print_line)
    except Exception as error:
        note = f"The night could not be finished: {one_line(str(error))[:_MAX_REPORTED]}"
        failed = Report(
            suite=night.suite,
            began=began,
            ended=now(),
            runner=night.runner,
            outcome=Outcome.FAILED.value,
            notes=(note,),
        )
        _notify(night, failed, "no folder", print_line)
        raise


def _night(night: Night, began: str, clear: Clear, print_line: PrintLine) -> int:
    fail_on = wanted(night.fail_on)
    store = opened(night.bucket) if night.bucket else of_folder(night.results)
    _prune(store, night.bounds, print_line)  # a full volume may have room afterwards
    notes, of_this_job = _before(night, store, clear, print_line)
    if of_this_job:
        return LAB_FAILED  # an earlier pod of this Job: the night is over, and was reported
    mine = UnderWay(suite=night.suite, began=began, runner=night.runner, job=night.job)
    store.write(UNDER_WAY, mine.to_json())
    night.results.mkdir(parents=True, exist_ok=True)
    if night.bucket:
        store.pull(BASELINE, night.results / BASELINE)
    ended = _suite(night, print_line)
    folder = ended.folder or night.results / mine.folder
    folder.mkdir(exist_ok=True)
    codes = Codes(ended.code, _compare(night.results / BASELINE, ended.folder, print_line))
    judgement = judge(codes, fail_on)
    _keep(night, ended.folder, judgement.outcomes, store, print_line)
    report = Report(
        suite=night.suite, began=began, ended=now(), runner=night.runner, outcome=in_words(judgement),
        run_code=codes.run, compare_code=-1 if codes.compare is None else codes.compare, notes=(*notes, *ended.notes),
    )  # fmt: skip
    _write(night, folder, ended.folder, codes, report)
    if night.bucket:
        store.push(folder)
    if _read(store) == mine:
        store.remove(UNDER_WAY)
    _prune(store, night.bounds, print_line)
    for line in (*report.notes, *plain(judgement, codes)):
        print_line(line)
    if judgement.failing or notes or night.tell_always:
        _notify(night, report, folder.name, print_line)
    return judgement.exit_code


def _before(night: Night, store: Store, clear: Clear, print_line: PrintLine) -> tuple[list[str], bool]:
    """Report an unfinished earlier night; return the sentences, and whether it was of this very Job."""
    there, last = _read(store), _last_report(store)
    if there is None:
        return ([_interruption_note(last)] if last and last.outcome == INTERRUPTED else []), False
    of_this_job = bool(night.job) and there.job == night.job
    if last and (last.began, last.runner) == (there.began, there.runner):  # it was over, but could not remove its note
        store.remove(UNDER_WAY)
        return [], of_this_job
    sentence = (
        f"The night of {there.began} ({there.suite}) was interrupted: its runner {there.runner} ended without a report."
    )
    cleared = _cleared(night, there, sentence, clear)
    for line in (sentence, *cleared):
        print_line(line)
    report = Report(
        suite=there.suite, began=there.began, ended=now(), runner=there.runner, outcome=INTERRUPTED,
        notes=(sentence, *cleared),
    )  # fmt: skip
    name = _folder_of(store, there)
    store.write(f"{name}/{PAGE}", _page_of_broken(report).encode())
    store.write(f"{name}/{REPORT}", report.to_json())
    store.remove(UNDER_WAY)
    _notify(night, report, name, print_line)
    return [sentence], of_this_job


def _cleared(night: Night, there: UnderWay, why: str, clear: Clear) -> list[str]:
    """Remove what an interrupted night left and return what was done. CommandError if a run is under way there."""
    try:
        return list(clear(night.namespace, why))
    except CommandError as held:
        raise CommandError(
            f"The night of {there.began} ({there.suite}) by {there.runner} may still be under way: {held}"
        ) from held
    except Exception as error:  # it is reported anyway: faults end by themselves, and the next run cleans up too
        return [f"What it left could not be removed: {reason_of(error)}"]


def _read(store: Store) -> UnderWay | None:
    """Read the note of a night that is, or was, under way; an unreadable note stands for an unknown night."""
    try:
        return UnderWay.from_json(UNDER_WAY, store.read(UNDER_WAY, _MAX_NOTE_BYTES))
    except FileNotFoundError:
        return None
    except FieldError:
        return UnderWay(suite="unknown", began=now(), runner="unknown", job="unknown")


def _last_report(store: Store) -> Report | None:
    kept = store.suites()
    try:
        return Report.from_json(REPORT, store.read(f"{kept[-1].path.name}/{REPORT}", _MAX_NOTE_BYTES)) if kept else None
    except (FileNotFoundError, FieldError):
        return None


def _interruption_note(report: Report) -> str:
    night = f"The night before, of {report.began} ({report.suite})"
    return f"{night}, was interrupted: {report.runner} ended without a report."


def _folder_of(store: Store, under_way: UnderWay) -> str:
    """Return the folder that a night without a report has left; else a name for one."""
    began = datetime.datetime.fromisoformat(under_way.began)
    for suite in reversed(store.suites()):
        if suite.begun >= began.replace(microsecond=0) and REPORT not in store.names(suite.path.name):
            return suite.path.name
    return under_way.folder


def _suite(night: Night, print_line: PrintLine) -> SuiteResult:
    """Run `caplab run` as a user does, and end it when its time is over, or when this process is ended."""
    before = {suite.path for suite in folders.suites(night.results)}
    command = [*_CAPLAB, "run", night.suite, "--repeat", str(night.repeat), "--results", str(night.results)]
    settings = {**night.settings, "namespace": night.namespace}
    command += [f"--set={name}={value}" for name, value in settings.items()]
    print_line(" ".join(command[2:]))
    process = subprocess.Popen(command, env=_without_secrets(os.environ))
    notes: tuple[str, ...] = ()
    try:
        code = process.wait(night.seconds)
    except subprocess.TimeoutExpired:
        notes, code = (f"The suite was told to end: it took over {night.seconds / 60:.0f} minutes.",), _end(process)
    except KeyboardInterrupt:
        notes, code = ("The runner was told to end in the middle of the suite.",), _end(process)
    new = [suite.path for suite in folders.suites(night.results) if suite.path not in before]
    if code < 0 or (code == 0 and not new):  # without a verdict nothing is valid
        code = LAB_FAILED
    return SuiteResult(code, new[-1] if new else None, notes)


def _without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the suite's environment: without a bucket's keys, and without addresses that may be secrets."""
    return {
        name: value
        for name, value in environment.items()
        if name not in (notify.WEBHOOK_VARIABLE, notify.ALERTMANAGER_VARIABLE) and not name.startswith("AWS_")
    }


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return LAB_FAILED


def _compare(baseline: Path, folder: Path | None, print_line: PrintLine) -> int | None:
    """Compare with the baseline and return the exit code; None if nothing can be compared. Its output is kept."""
    if folder is None or not folders.suites(baseline):
        return None
    command = [*_CAPLAB, "compare", str(baseline), str(folder), "--min-runs", _MIN_RUNS, "--format", "markdown"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_COMPARE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        print_line("caplab compare did not end in time")
        return LAB_FAILED
    (folder / CHANGES).write_bytes(done.stdout)
    if done.stderr:
        print_line(done.stderr.decode(errors="replace").strip())
    return done.returncode if done.returncode >= 0 else LAB_FAILED


def _keep(night: Night, folder: Path | None, outcomes: Sequence[Outcome], store: Store, print_line: PrintLine) -> None:
    """Add a suite to the baseline, unless it failed, is invalid or became worse; then draw the figures over time."""
    if folder is None:
        return
    baseline = night.results / BASELINE
    if Outcome.FAILED not in outcomes and (night.accept or not _NO_BASELINE & set(outcomes)):
        folders.add(folder, baseline)
        gone = folders.prune(baseline, Bounds(last=night.keep_last), datetime.datetime.now(datetime.UTC))
        if night.bucket:
            for suite in gone:
                store.remove(f"{BASELINE}/{suite.path.name}")
            Store(store.files, f"{store.root}/{BASELINE}").push(baseline / folder.name)
    command = [*_CAPLAB, "trend", str(night.results), "--output", str(folder / TREND)]  # each run is drawn once
    try:
        code = subprocess.run(command, timeout=_COMPARE_SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        code = LAB_FAILED
    if code:
        print_line(f"there is no trend: caplab trend ended with {code}")


def _write(night: Night, folder: Path, of_suite: Path | None, codes: Codes, report: Report) -> None:
    """Write the night's page and, last, its report."""
    changes = folder / CHANGES
    text = page_of(
        of_suite, night.suite, codes, night.fail_on,
        changes=changes.read_text(errors="replace") if changes.is_file() else "", notes=report.notes,
    )  # fmt: skip
    (folder / PAGE).write_text(text, encoding="utf-8")
    (folder / REPORT).write_bytes(report.to_json())


def _page_of_broken(report: Report) -> str:
    notes = "".join(f"- {escaped(note)}\n" for note in report.notes)
    return f"# {escaped(report.suite)}: {INTERRUPTED.upper()}\n\n{notes}"


def _prune(store: Store, bounds: Bounds, print_line: PrintLine) -> None:
    """Remove what is over the bounds; a failure to remove does not fail the night."""
    try:
        for suite in folders.to_prune(store.suites(), bounds, datetime.datetime.now(datetime.UTC)):
            store.remove(suite.path.name)
            print_line(f"pruned: {suite.path.name}")
    except OSError as error:
        print_line(f"note: not everything was pruned: {one_line(str(error))}")


def _notify(night: Night, report: Report, folder: str, print_line: PrintLine) -> None:
    for sentence in notify.send(night.webhook, night.alertmanager, report, folder):
        print_line(f"note: {sentence}")


_CAPLAB = (sys.executable, "-m", "caplab")
