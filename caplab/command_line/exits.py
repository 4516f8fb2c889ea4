"""The end of a command: whatever goes wrong is one sentence on stderr and exit code 3, not a traceback.

The traceback of an unexpected error is kept in the cache's logs. SIGTERM is treated like Ctrl-C.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from caplab_cluster.failure import Failure
from caplab_cluster.paths import Cache

from ..command_error import CommandError
from ..model.fields import FieldError
from ..plain_text import one_line

NOT_SHOWN = "the output could not be written"
LAB_FAILED = 3  # 1 and 2 would be statements about what was measured


def run_command(command: str, work: Callable[[], int], interrupted: str) -> int:
    """Run a command's work and return its exit code, or LAB_FAILED. interrupted: what Ctrl-C means for the user."""
    _write_what_can_be()
    _log_plainly()
    code = LAB_FAILED
    try:
        with _terminable():
            code = work()
    except KeyboardInterrupt:
        complain(f"interrupted: {interrupted}")
    except Exception as error:
        complain(f"FAILED: {sentence_of(error, command)}")
    return _flush(code)


def complain(text: str) -> None:
    """Print a message on stderr, in one line; if stderr is closed, the exit code has to do."""
    try:
        print(one_line(text), file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr.fileno())


def sentence_of(error: Exception, command: str) -> str:
    """Describe an error, with its hint if it has one; for an unexpected error, say where its traceback is."""
    if isinstance(error, Failure):
        return f"{error.sentence} Hint: {error.hint}"
    if isinstance(error, CommandError | FieldError):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    return f"unexpected {type(error).__name__}: {error} ({_write_traceback(error, command)})"


class _Plain(logging.Formatter):
    """A formatter that prints one line without control characters: a message may come from a server or a file."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record for the user."""
        return one_line(super().format(record))


def _write_what_can_be() -> None:
    """Make a terminal that lacks a character show the rest, instead of failing in the middle of a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _log_plainly() -> None:
    """Show warnings like all other messages, unless logging is configured; hide urllib3's retries."""
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Plain("note: %(message)s"))
        if not logging.getLogger().handlers:  # or else logging.error() adds a handler that lets everything through
            logging.getLogger().addHandler(logging.lastResort)


def _write_traceback(error: Exception, command: str) -> str:
    """Write an error's traceback to a file, and say where it is."""
    log: Path = Cache.from_environment().logs / f"caplab-{command}.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="replace")
    except OSError as refused:
        return f"its traceback could not be kept: {refused.strerror}"
    return f"its traceback is in {log}"


def _flush(code: int) -> int:
    """Flush all output and return the exit code: Python itself would exit with another one if flushing fails."""
    if sys.stdout is None:  # it is closed already
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe
        _discard(sys.stdout.fileno())
    except OSError as error:
        _discard(sys.stdout.fileno())
        if code != LAB_FAILED:  # everything else is reported
            complain(f"FAILED: {NOT_SHOWN}: {error.strerror}.")
        return LAB_FAILED
    return code


def _discard(descriptor: int) -> None:
    """Redirect a stream to nowhere, so that its remaining content is not written again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


@contextmanager
def _terminable() -> Iterator[None]:
    def terminated(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
