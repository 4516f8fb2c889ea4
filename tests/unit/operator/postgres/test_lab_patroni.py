"""Patroni with short pauses: the image's own script, run for real beside a made-up Patroni of the same parts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[4] / "images/postgres/lab-patroni"
HA = """
import time

class Ha:
    def demote(self, mode):
        time.sleep(1)
        return mode

    def process_unhealthy_cluster(self):
        time.sleep(2)

    def run_cycle(self):
        time.sleep(0.5)
        return time.time() > 0
"""
MAIN = """
import time
from patroni import ha, postgresql

def main():
    slept, real = [], time.sleep
    time.sleep = slept.append
    member = ha.Ha()
    handed_on = member.demote("graceful")
    member.process_unhealthy_cluster()
    read_the_clock = member.run_cycle()
    time.sleep = real
    print(slept, getattr(postgresql, "STOP_POLLING_INTERVAL", None), handed_on, read_the_clock, flush=True)
"""
FAILING = """
import time
from patroni import ha

def main():
    def fail(seconds):
        raise OSError
    real, time.sleep = time.sleep, fail
    try:
        ha.Ha().demote("graceful")
    except OSError:
        slept = []
        time.sleep = slept.append
        ha.Ha().run_cycle()
        print(slept)
"""


def run(folder: Path, main: str = MAIN, ha: str = HA, postgresql: str = "STOP_POLLING_INTERVAL = 1") -> str:
    """Run the script with a Patroni of these modules, and return what it printed."""
    package = folder / "patroni"
    package.mkdir()
    for name, source in {"__init__": "", "__main__": main, "ha": ha, "postgresql": postgresql}.items():
        (package / f"{name}.py").write_text(source)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True, timeout=30, env=environment
    )
    return done.stdout


def test_the_pauses_of_a_switchover_are_a_twentieth_and_all_others_stay(tmp_path: Path) -> None:
    assert run(tmp_path) == "[0.05, 0.1, 0.5] 0.05 graceful True\n"


def test_a_switchover_that_fails_leaves_other_pauses_as_they_are(tmp_path: Path) -> None:
    assert run(tmp_path, FAILING) == "[0.5]\n"


def test_a_patroni_of_other_parts_keeps_its_own_pauses_and_that_is_said(tmp_path: Path) -> None:
    assert run(tmp_path, postgresql="") == (
        "lab-patroni: this Patroni has no STOP_POLLING_INTERVAL: its switchovers are as slow as stock\n"
        "[1, 2, 0.5] None graceful True\n"
    )
