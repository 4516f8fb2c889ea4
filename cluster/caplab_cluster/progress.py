"""Progress of long steps: elapsed time, a log each, and a table at the end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from .failure import Failure, diagnose, tail

_QUIET_LINE_SECONDS = 20.0  # between two lines while a step runs and the output is no terminal
_POLL_SECONDS = 0.2
_STOP_GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One row of the table: outcome is done, ready (nothing to do) or failed."""

    title: str
    seconds: float
    outcome: str


def duration(seconds: float) -> str:
    """Format seconds: 0.4 s, 31.0 s, 4 m 57 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} m {int(seconds) % 60:02d} s"


class Step:
    """One running step: its commands write to its log."""

    def __init__(self, title: str, log: Path, out: TextIO) -> None:
        self.title = title
        self.log = log
        self.ready = False
        self._out = out
        self._started = time.monotonic()
        self._next_line = self._started + _QUIET_LINE_SECONDS
        self._live = out.isatty()

    def mark_ready(self) -> None:
        """Mark that there was nothing to do."""
        self.ready = True

    @property
    def elapsed(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._started

    def run(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: IO[bytes] | None = None,
    ) -> None:
        """Run one command to its end, with its output in the log. Raises Failure if it fails."""
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            process = None
            try:
                with _interrupts_held():
                    process = subprocess.Popen(
                        list(command),
                        stdin=stdin or subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env={**os.environ, **(env or {})},
                        cwd=cwd,
                        start_new_session=True,
                    )
                self._wait(process)
            except OSError as error:
                raise self.failure(command, f"{command[0]}: {error.strerror}") from error
            except BaseException:
                if process is not None:
                    _end_group(process)
                raise
        if process.returncode != 0:
            raise self.failure(command, f"exit code {process.returncode}")

    def failure(self, command: Sequence[str], how: str) -> Failure:
        """Return the failure of a command, with the cause that its log shows."""
        diagnosis = diagnose(tail(self.log))
        sentence = f"The step '{self.title}' failed ({how})."
        hint = "Read the log above, then try again: completed steps are kept."
        if diagnosis:
            sentence, hint = f"{sentence} {diagnosis.sentence}", diagnosis.hint
        return Failure(sentence, hint, tried=(" ".join(command),), log=self.log)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for a process, showing that it is still at work."""
        while process.poll() is None:
            self._show_elapsed()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)

    def _show_elapsed(self) -> None:
        now = time.monotonic()
        if self._live:
            self._out.write(f"\r\033[K  {self.title} ... {duration(now - self._started)}")
            self._out.flush()
        elif now >= self._next_line:
            self._next_line = now + _QUIET_LINE_SECONDS
            last = tail(self.log, 1).strip()[:90]
            print(f"  {self.title} ... {duration(now - self._started)}  [{last}]", file=self._out, flush=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold an interrupt back until the block has ended: in the midst of a start it would orphan the new process."""
    if threading.current_thread() is not threading.main_thread():  # interrupts only ever reach the main one
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            signal.raise_signal(signal.SIGINT)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what a command started: first with a signal it can handle, then with one that it cannot."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):  # the group may outlive its first process
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Progress:
    """The steps of one command: how they are shown, and their record."""

    def __init__(self, logs: Path, out: TextIO = sys.stdout) -> None:
        self._logs = logs
        self._out = out
        self._started = time.monotonic()
        self.records: list[StepRecord] = []

    def report(self, text: str) -> None:
        """Print one line."""
        print(text, file=self._out, flush=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show one step; its log is named by its title."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".log")
        log.unlink(missing_ok=True)
        step = Step(title, log, self._out)
        try:
            yield step
        except BaseException:
            self._end(step, "failed")
            raise
        self._end(step, "ready" if step.ready else "done")

    def _end(self, step: Step, outcome: str) -> None:
        self.records.append(StepRecord(step.title, step.elapsed, outcome))
        clear = "\r\033[K" if self._out.isatty() else ""
        self.report(f"{clear}  {step.title:<58} {outcome:<6} {duration(step.elapsed):>10}")

    def table(self) -> str:
        """Format the steps and their times, and the total."""
        return render_table(self.records, time.monotonic() - self._started)


def render_table(records: Sequence[StepRecord], total_seconds: float) -> str:
    """Format rows of step, outcome and time, and their total."""
    width = max([len(record.title) for record in records] + [len("total")])
    rule = "-" * (width + 22)
    rows = [f"{r.title:<{width}}  {r.outcome:<6}  {duration(r.seconds):>10}" for r in records]
    return "\n".join([rule, *rows, rule, f"{'total':<{width}}  {'':<6}  {duration(total_seconds):>10}"])
