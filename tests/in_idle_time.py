"""Run a command in the time that nothing else wants, and print what it printed when it has ended.

`make test` runs what measures no times in this way, beside the tests on the cluster, which must not wait for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")  # Linux: the processes of a session share one weight; see sched(7)
LEAST_NICE = 19
ENDINGS = (signal.SIGINT, signal.SIGTERM)


def give_way() -> None:
    """Put this process, the first of its session, and all that it will start, last in every queue for a processor.

    The scheduling policy counts among the processes of a session only. Between sessions, and beside the containers of
    the nodes, it is the session's weight that counts: left alone, it is as large as that of all nodes together.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    os.nice(LEAST_NICE)
    with contextlib.suppress(OSError):  # a kernel without such groups
        AUTOGROUP.write_text(str(LEAST_NICE))


def stop(started: subprocess.Popen[bytes]) -> None:
    """Interrupt all of a session, as a terminal would, and wait until its first process has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGINT)
    started.wait()


def interrupt(number: int, frame: object) -> None:
    """Take any signal that asks for an end as Ctrl-C."""
    raise KeyboardInterrupt


def main(command: list[str]) -> int:
    """Run the command, then print its output in one piece. Returns its exit code, or 1 if a signal ended it."""
    signal.signal(signal.SIGTERM, interrupt)
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)  # until there is somebody to stop
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=give_way,  # noqa: PLW1509 (there are no threads)
    ) as started:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
            printed, _ = started.communicate()
        except KeyboardInterrupt:
            stop(started)
            return 1
    sys.stdout.buffer.write(printed)
    sys.stdout.flush()
    return started.returncode if started.returncode >= 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
