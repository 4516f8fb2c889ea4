"""Run a command in the time that nothing else wants, and print what it printed when it has ended.

`make test` runs what measures no times in this way, beside the tests on the cluster, which must not wait for it.
"""

from __future__ import annotations

import os
import subprocess
import sys


def main(command: list[str]) -> int:
    """Run the command, then print its output in one piece. Returns its exit code, or 1 if a signal ended it."""
    if hasattr(os, "SCHED_IDLE"):  # Linux: whoever else is ready to run goes first, at once
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    os.nice(19)
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    sys.stdout.buffer.write(done.stdout)
    sys.stdout.flush()
    return done.returncode if done.returncode >= 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
