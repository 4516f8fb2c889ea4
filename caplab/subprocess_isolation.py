"""A separate process for work on files of unknown origin: its death is a failure like any other, and is reported."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable


def run_in_child(work: Callable[[], int], failed: int) -> int:
    """Run work in a child process and return its exit code; a child that a signal ends is reported, and gives `failed`.

    A library may crash on a damaged file, and the kernel kills a process that takes too much memory. Call this only
    while this process has a single thread.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDED_ON)  # a signal waits until the child can be told
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os._exit(_done(work, failed))
    before = {number: signal.signal(number, _hand_on(child)) for number in _HANDED_ON}
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        _, status = os.waitpid(child, 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    name = signal.Signals(os.WTERMSIG(status)).name
    print(f"FAILED: the check was {_REASONS.get(name, f'ended by {name}: {_CRASH}')}", file=sys.stderr)
    return failed


_HANDED_ON = (signal.SIGINT, signal.SIGTERM)
_CRASH = "the file is damaged in a way that crashes its library. Hint: copy it again, whole."
_REASONS = {
    "SIGKILL": "killed by SIGKILL (out of memory, or by a user). Hint: check a part of the history.",
    "SIGTERM": "ended by SIGTERM: a user or a program ended it. Hint: check again.",
    "SIGINT": "ended by SIGINT: a user or a program ended it. Hint: check again.",
}


def _done(work: Callable[[], int], failed: int) -> int:
    """Return the child's exit code, without running what its parent registered for its own exit."""
    code = failed
    with contextlib.suppress(KeyboardInterrupt):
        code = work()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError, ValueError):  # its reader has gone
            stream.flush()
    return code


def _hand_on(child: int) -> Callable[[int, object], None]:
    def handler(number: int, _: object) -> None:
        # A terminal's Ctrl-C reaches the child too, which then ends by itself.
        if number != signal.SIGINT:
            os.kill(child, number)

    return handler
