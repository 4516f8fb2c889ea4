"""A process is named so that no later one of its id is taken for it."""

from __future__ import annotations

import os
import subprocess
import sys

from caplab_cluster.machine import processes
from caplab_cluster.machine.processes import is_running, this_process


def test_this_process_runs_and_one_of_its_id_that_started_at_another_moment_does_not() -> None:
    name = this_process()
    assert is_running(name)
    assert not is_running(f"{os.getpid()}-1")
    assert not is_running("")
    assert not is_running("no process")


def test_a_process_that_ended_does_not_run_even_before_it_is_reaped() -> None:
    words = "from caplab_cluster.machine.processes import this_process; print(this_process(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", words], stdin=-1, stdout=-1, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        name = child.stdout.readline().strip()
        assert is_running(name)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_running(name)
    assert not is_running(name)


def test_without_proc_the_id_alone_has_to_do() -> None:
    assert is_running(f"{os.getpid()}-")
    assert not processes._is_there(2**22 + 1)
