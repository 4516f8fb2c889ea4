"""Work with a time limit: it may hang where it has no time-out of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class TimeLimitExceeded(TimeoutError):
    """The work did not end in time."""


def with_time_limit(seconds: float, work: Callable[[], T], name: str = "work") -> T:
    """Return the work's result; raises what it raises, TimeLimitExceeded if it does not end in time.

    Its thread, of that name, is left to end with this process.
    """
    answers: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((work(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        result, problem = answers.get(timeout=seconds)
    except Empty as error:
        raise TimeLimitExceeded(f"it did not end in {seconds:g} s") from error
    if problem is not None:
        raise problem
    return result  # type: ignore[return-value]
