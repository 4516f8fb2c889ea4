"""The gate in a shell's background (`make test &`), where everything begins with SIGINT ignored."""

from __future__ import annotations

import signal
import subprocess
import sys

from caplab_cluster.paths import REPOSITORY

# Each sends SIGINT: to its own process, to a child of its own, to a program that it started in a terminal.
OF_SIGNALS = (
    "tests/unit/run/test_toolkit.py",
    "tests/unit/cluster/test_progress.py",
    "tests/unit/watch/test_command.py::test_in_a_terminal_it_goes_on_until_ctrl_c_and_leaves_it_as_it_was",
)


def in_the_background(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest as a shell's `&` would start it, with arguments."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=180,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip


def test_tests_that_send_sigint_pass() -> None:
    done = in_the_background("-n1", *OF_SIGNALS)
    assert done.returncode == 0, done.stdout


def test_without_the_tests_own_settings_they_fail() -> None:
    """Planted: what tests/conftest.py does is needed."""
    done = in_the_background("-n0", "--noconftest", "tests/unit/run/test_toolkit.py")
    assert done.returncode == 1, done.stdout
    assert "test_a_signal_during_an_activity" in done.stdout.rpartition("short test summary")[2]
