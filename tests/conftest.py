"""Settings for all tests: a busy machine does not fail a property, Ctrl-C is heeded, what a test makes is its own."""

import os
import signal

from hypothesis import settings

settings.register_profile("unhurried", parent=settings.default, deadline=None)
settings.load_profile("unhurried")


FROM_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GATE")  # would change what a test's own `make` does


def pytest_configure() -> None:
    """Drop what children would inherit from make, and from a shell, which ignores SIGINT for what it starts by `&`."""
    for name in FROM_MAKE:
        os.environ.pop(name, None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
