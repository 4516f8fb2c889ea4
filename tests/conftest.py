"""Settings for all tests: a busy machine does not fail a property, Ctrl-C is heeded, what a test makes is its own."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from support.effort import cases

settings.register_profile("unhurried", parent=settings.default, deadline=None, max_examples=cases(100))
settings.load_profile("unhurried")


TIMED = (
    "tests/unit/agent/",
    "tests/unit/probes/",
    "tests/unit/lab/test_metrics_port.py",
    "tests/unit/nightly/test_page.py",
    "tests/property/test_agent",
    "tests/property/test_probe",
)
FROM_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "IDLE", "MARKS")  # would change what a test's own `make` does


def pytest_configure() -> None:
    """Drop what children would inherit from make, and from a shell, which ignores SIGINT for what it starts by `&`."""
    for name in FROM_MAKE:
        os.environ.pop(name, None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def is_timed(path: Path) -> bool:
    """Whether a file's tests keep a schedule in real time: they need processors that are free when they want one."""
    return any(part in path.as_posix() for part in TIMED)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files of whose tests none has the marks that are asked for: reading all takes each process seconds."""
    asked_for = config.getoption("markexpr")
    if asked_for not in ("timed", "not timed") or collection_path.suffix != ".py":
        return None
    return True if is_timed(collection_path) != (asked_for == "timed") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of timed files."""
    for item in items:
        if is_timed(item.path):
            item.add_marker(pytest.mark.timed)
