"""`caplab watch` as a user has it: once or live, in a terminal or not, and the terminal as it was in the end."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.objects.fake_api_server import PRODUCTION, kubeconfig
from support.runs.watched_lab import PODS, Api, served, tell_of_a_lab

ALTERNATE, BACK, CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"
WATCH = [sys.executable, "-m", "caplab", "watch"]


@pytest.fixture
def api() -> Iterator[Api]:
    with served() as api:
        tell_of_a_lab(api)
        yield api


@pytest.fixture
def environment(api: Api, tmp_path: Path) -> dict[str, str]:
    config = kubeconfig(tmp_path, "kind-caplab", kind_caplab=f"http://127.0.0.1:{api.server_port}")
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    ours = {"KUBECONFIG": str(config), "CAPLAB_CACHE": str(tmp_path), "TERM": "xterm", "LANG": "C.UTF-8"}
    return {**kept, **ours, "COLUMNS": "80"}


def once(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WATCH, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("arguments", [("--once",), ()])
def test_without_a_terminal_it_is_one_plain_picture(environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    done = once(environment, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].startswith("context kind-caplab at http://127.0.0.1:")
    assert lines[2] == "answering: API server, operator, prober a, prober b, this host"
    assert any("lab/pg" in line and "Ready" in line for line in lines)
    assert any("AS PROMISED" in line and "lost 0 of 9" in line for line in lines)


def test_once_with_a_silent_prober_ends_with_3(api: Api, environment: dict[str, str]) -> None:
    api.silent = {f"{PODS}/p-b:9187/proxy/metrics"}
    done = once({**environment, "COLUMNS": "200"}, "--once")
    assert done.returncode == 3
    assert "answering: API server, operator, prober a, this host" in done.stdout.splitlines()
    assert "unknown: prober b does not answer, from the start" in done.stdout


def test_a_cluster_that_is_no_lab_must_be_named(api: Api, environment: dict[str, str]) -> None:
    tell_of_a_lab(api, providers=PRODUCTION)
    done = once(environment, "--once")
    assert (done.returncode, done.stdout) == (3, "")
    assert "name it explicitly (--context kind-caplab" in done.stderr
    named = once(environment, "--once", "--context", "kind-caplab")
    assert named.returncode == 0
    assert "not a kind cluster" in named.stdout


class Terminal:
    """A terminal of some size in which it runs."""

    def __init__(self, environment: dict[str, str], width: int, height: int) -> None:
        self.shown = ""
        self._ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.resize(width, height, tell=False)
        self.process = subprocess.Popen(
            WATCH, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )

    def resize(self, width: int, height: int, tell: bool = True) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        if tell:
            os.kill(self.process.pid, signal.SIGWINCH)

    def await_text(self, text: str, seconds: float = 40) -> None:
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            self._read()

    def end(self) -> int:
        """Send Ctrl-C, and read what comes until it has ended."""
        os.kill(self.process.pid, signal.SIGINT)
        end = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < end, self.shown
            self._read()
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        if select.select([self._ours], [], [], 0.1)[0]:
            self.shown += os.read(self._ours, 1 << 16).decode(errors="replace")

    @property
    def settings(self) -> list[object]:
        return termios.tcgetattr(self._theirs)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self._ours, self._theirs):
            with suppress(OSError):
                os.close(descriptor)


def test_in_a_terminal_it_goes_on_until_ctrl_c_and_leaves_it_as_it_was(environment: dict[str, str]) -> None:
    terminal = Terminal({**environment, "LINES": "24"}, 80, 24)  # a shell's size, which is not that of later on
    try:
        terminal.await_text("prober b")
        assert ALTERNATE in terminal.shown
        terminal.resize(200, 50)
        terminal.await_text("pg-2@c*")  # what only a wide one has room for
        assert terminal.end() == 0
        assert terminal.shown.rindex(BACK) > terminal.shown.rindex(ALTERNATE)
        assert CURSOR in terminal.shown[terminal.shown.rindex(BACK) - 20 :]
        assert "Traceback" not in terminal.shown
        assert terminal.settings == terminal.before
    finally:
        terminal.close()


def test_a_terminal_that_cannot_be_drawn_over_gets_one_picture(environment: dict[str, str]) -> None:
    terminal = Terminal({**environment, "TERM": "dumb"}, 80, 24)
    try:
        terminal.await_text("LAST RUNS")
        assert terminal.process.wait(20) == 0
        assert "\x1b" not in terminal.shown
    finally:
        terminal.close()
