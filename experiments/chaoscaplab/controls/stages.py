"""Where the time of a run went, told as it goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger("caplab.run")


class Stages:
    """seconds: by stage, in the order they came."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; a stage that comes twice adds up."""
        _log.info("%s ...", name)
        started = time.monotonic()
        try:
            yield
        finally:
            self.add(name, time.monotonic() - started)

    def add(self, name: str, seconds: float) -> None:
        """Count what somebody else has timed."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
