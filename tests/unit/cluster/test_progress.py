from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest
from caplab_cluster.failure import Failure
from caplab_cluster.progress import Progress, StepRecord, duration, render_table
from caplab_cluster.shell import ask


def test_a_step_runs_into_its_log_and_is_recorded(tmp_path: Path) -> None:
    out = io.StringIO()
    progress = Progress(tmp_path, out)
    with progress.step("Say hello") as step:
        step.run(["echo", "hello"], env={"A": "b"})
    with progress.step("nothing to do") as step:
        step.mark_ready()
    assert (tmp_path / "say-hello.log").read_text() == "$ echo hello\nhello\n"
    assert [record.outcome for record in progress.records] == ["done", "ready"]
    assert "Say hello" in out.getvalue()


def test_a_failing_command_ends_the_step_with_its_log_and_cause(tmp_path: Path) -> None:
    progress = Progress(tmp_path, io.StringIO())
    with pytest.raises(Failure) as failed, progress.step("fetch") as step:
        step.run(["sh", "-c", "echo 'lookup x: no such host' >&2; exit 3"])
    assert "exit code 3" in failed.value.sentence
    assert "The network is down" in failed.value.sentence
    assert failed.value.log == tmp_path / "fetch.log"
    assert progress.records[0].outcome == "failed"


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(Failure, match="no-such-tool: No such file"),
        Progress(tmp_path, io.StringIO()).step("x") as step,
    ):
        step.run(["no-such-tool"])


def await_end(pid: int) -> None:
    """Wait until a process is dead, reaped or not: a signal is sent before it is obeyed."""
    deadline = time.monotonic() + 10
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        assert time.monotonic() < deadline, f"process {pid} is still there, in state {state}"
        time.sleep(0.01)


def step_script(folder: Path, before: str = "") -> list[str]:
    """A Python program in a step whose command says the id of its child, which ignores SIGTERM."""
    command = "(trap '' TERM; exec sleep 60) & echo $!; wait"
    script = (
        "import io, os, pathlib, signal, subprocess, time; from caplab_cluster.progress import Progress\n"
        f"log = pathlib.Path({str(folder / 'long.log')!r})\n"
        f"{before}\n"
        f"with Progress(log.parent, io.StringIO()).step('long') as step:\n"
        f"    step.run(['sh', '-c', {command!r}])\n"
    )
    return [sys.executable, "-c", script]


def started_child(folder: Path) -> int | None:
    """The id of the child, once the command has said it."""
    log = folder / "long.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return int(lines[1]) if len(lines) == 2 else None


def test_an_interrupt_ends_what_the_step_started(tmp_path: Path) -> None:
    """The whole process group goes, not only the command itself."""
    process = subprocess.Popen(step_script(tmp_path), stderr=subprocess.DEVNULL)
    while (child := started_child(tmp_path)) is None:
        assert process.poll() is None
    process.send_signal(2)
    assert process.wait(10) != 0
    await_end(child)


def test_an_interrupt_in_the_midst_of_a_start_leaves_no_orphan(tmp_path: Path) -> None:
    """It comes when the command runs already, but before its starter knows its process."""
    interrupting_start = (
        "start = subprocess.Popen\n"
        "def interrupted(*args, **options):\n"
        "    process = start(*args, **options)\n"
        "    while len(log.read_text().splitlines()) < 2: time.sleep(0.01)\n"
        "    os.kill(os.getpid(), 2)\n"
        "    return process\n"
        "subprocess.Popen = interrupted"
    )
    script = step_script(tmp_path, interrupting_start)
    assert subprocess.run(script, check=False, stderr=subprocess.DEVNULL, timeout=30).returncode != 0
    child = started_child(tmp_path)
    assert child is not None
    await_end(child)


def test_durations_read_well() -> None:
    assert [duration(s) for s in (0.04, 59.94, 60, 297.2)] == ["0.0 s", "59.9 s", "1 m 00 s", "4 m 57 s"]


def test_the_table_has_a_row_a_step_and_the_whole() -> None:
    text = render_table([StepRecord("a", 1.0, "done"), StepRecord("bb", 61.0, "ready")], 62.0)
    assert "bb     ready" in text
    assert text.splitlines()[-1].split() == ["total", "1", "m", "02", "s"]


def test_asking_never_raises() -> None:
    assert ask(["no-such-tool"]).code == 127
    assert ask(["sleep", "5"], timeout_seconds=0.1).code == 124
    assert ask(["cat"], stdin="in").out == "in"
