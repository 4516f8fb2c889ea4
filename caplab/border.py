"""Where a command ends: whatever goes wrong is one sentence on stderr and exit code 3, and no traceback.

The traceback of what nobody expected is kept in the cache's logs. SIGTERM is as Ctrl-C.
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

from .command_error import CommandError
from .model.fields import FieldError
from .plain_text import one_line

NOT_SHOWN = "what was to be shown could not be written"
LAB_FAILED = 3  # 1 and 2 would say something of what was measured


def guarded(command: str, work: Callable[[], int], interrupted: str) -> int:
    """Do a command's work: its exit code, or LAB_FAILED with a sentence. interrupted: what that means for the user."""
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
    return _flushed(code)


def complain(text: str) -> None:
    """Say something on stderr, in one line; where nobody takes it, the exit code has to do."""
    try:
        print(one_line(text), file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr.fileno())


def sentence_of(error: Exception, command: str) -> str:
    """What went wrong, with its hint where there is one; of what nobody expected, where its traceback is."""
    if isinstance(error, Failure):
        return f"{error.sentence} Hint: {error.hint}"
    if isinstance(error, CommandError | FieldError):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    return f"unexpected {type(error).__name__}: {error} ({_kept(error, command)})"


class _Plain(logging.Formatter):
    """One line without control characters: what is logged may be the word of a server or a file."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as it is shown."""
        return one_line(super().format(record))


def _write_what_can_be() -> None:
    """Let a terminal that lacks a letter show the rest, in place of an error in the midst of a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _log_plainly() -> None:
    """Show warnings as everything else, where nobody has set up logs; that urllib3 tries again is not shown."""
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Plain("note: %(message)s"))
        if not logging.getLogger().handlers:  # or who calls logging.error() sets up one that lets all through
            logging.getLogger().addHandler(logging.lastResort)


def _kept(error: Exception, command: str) -> str:
    """Write an error's traceback down; where it is."""
    log: Path = Cache.from_environment().logs / f"caplab-{command}.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="replace")
    except OSError as refused:
        return f"its traceback could not be kept: {refused.strerror}"
    return f"its traceback is in {log}"


def _flushed(code: int) -> int:
    """The exit code, once all that was said is out: Python itself would end with another one where it is not."""
    if sys.stdout is None:  # it was closed before
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        _discard(sys.stdout.fileno())
    except OSError as error:
        _discard(sys.stdout.fileno())
        if code != LAB_FAILED:  # or else it is told
            complain(f"FAILED: {NOT_SHOWN}: {error.strerror}.")
        return LAB_FAILED
    return code


def _discard(descriptor: int) -> None:
    """Let a stream go nowhere: what is left in it must not be tried again at the end."""
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
