"""Settings for all tests: a busy machine does not fail a property, and Ctrl-C is heeded in a shell's background too."""

import signal

from hypothesis import settings

settings.register_profile("unhurried", parent=settings.default, deadline=None)
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Heed SIGINT, which a shell ignores for what it starts by `&`: children would inherit that from their tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
