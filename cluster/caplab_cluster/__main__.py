"""Command line: python3 -m caplab_cluster up | down | status | doctor | dashboards | environment | clean"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (before anything that an older Python can't read)
    sys.exit("FAILED: Python 3.11 or newer is needed.\n  hint:  make PYTHON=python3.11")

import argparse
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from . import commands, dashboards, status
from .failure import Failure, render
from .paths import Cache
from .progress import Progress

_WRITE_COMMANDS: dict[str, Callable[[Progress, Cache], None]] = {
    "up": commands.up,
    "down": commands.down,
    "clean": commands.clean,
}
_READ_COMMANDS: dict[str, Callable[[Progress, Cache], None]] = {
    "status": status.status,
    "doctor": commands.run_doctor,
    "dashboards": dashboards.dashboards,
    "environment": commands.environment,
}


@contextmanager
def _exclusive(cache: Cache) -> Iterator[None]:
    """Hold the lock, so that two commands never change the cluster at once."""
    try:
        cache.root.mkdir(parents=True, exist_ok=True)
        lock = cache.lock.open("a+")
    except OSError as error:
        raise Failure(
            f"The cache folder {cache.root} can't be written: {error.strerror}.",
            "Set CAPLAB_CACHE to a folder of your own, or correct its permissions.",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise Failure(
                f"Another caplab command is running (process {holder}).",
                "Wait until it has finished, or stop it, then try again.",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _terminated(signum: int, _frame: object) -> None:
    raise KeyboardInterrupt(signum)


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns 0 when it is done, 1 if it failed, 2 for wrong arguments, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="caplab_cluster", description=__doc__)
    parser.add_argument("command", choices=[*_WRITE_COMMANDS, *_READ_COMMANDS])
    command = parser.parse_args(arguments).command
    cache = Cache.from_environment()
    progress = Progress(cache.logs / command)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        if command in _READ_COMMANDS:
            _READ_COMMANDS[command](progress, cache)
        else:
            with _exclusive(cache):
                _WRITE_COMMANDS[command](progress, cache)
    except Failure as failure:
        print(render(failure), file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted: run `{command}` again to continue from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
