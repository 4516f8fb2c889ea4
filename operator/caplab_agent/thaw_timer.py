"""The dead man's switch of a freeze: a timer of the node's systemd, which thaws the pod when no agent does.

Each freeze has its own, for its own end, and stops it when it heals. Where freezes overlap, a timer that finds another
one of the same pod still waiting leaves the thaw to that one: so a pod stays frozen up to the last end, whenever
the agent dies, and no timer has to be moved while others hold the pod.
"""

from __future__ import annotations

import logging
import shlex
from pathlib import Path

from .commands import Start
from .faults import Assignment

GRACE_SECONDS = 0.5  # the agent's heal thaws; the timer is for when there is no agent
_NODE = ("nsenter", "-t", "1", "-m", "--")
_log = logging.getLogger(__name__)


class ThawTimers:
    """Timers of the node, one an assignment."""

    def __init__(self, start: Start) -> None:
        self._start = start

    def set(self, assignment: Assignment, seconds: float, file: Path, text: str) -> str:
        """Have text written to file after so many seconds and the grace, unless stopped. Why not; '' if it is set."""
        command = (
            *("systemd-run", "--quiet", "--collect", f"--on-active={max(0.0, seconds) + GRACE_SECONDS:.3f}s"),
            *(
                "--timer-property=AccuracySec=20ms",
                f"--unit={_unit(assignment)}",
                "sh",
                "-c",
                script(assignment, file, text),
            ),
        )
        try:
            result = self._start((*_NODE, *command))()
        except OSError as error:  # it took too long, and may have been set: other timers would wait for it
            self.stop(assignment)
            return str(error)
        return result.reason if result.code else ""

    def stop(self, assignment: Assignment) -> None:
        """Take an assignment's timer away, if it is there. What fails is logged: at worst it thaws what is thawed."""
        try:
            result = self._start((*_NODE, "systemctl", "stop", f"{_unit(assignment)}.timer"))()
        except OSError as error:
            _log.warning("stop of %s: %s", _unit(assignment), error)
            return
        if result.code and "not loaded" not in result.err:
            _log.warning("stop of %s: %s", _unit(assignment), result.reason)


def script(assignment: Assignment, file: Path, text: str) -> str:
    """What a timer does (pure): thaw, unless another timer of the pod still waits. One that runs does not wait."""
    others = shlex.quote(f"{_prefix(assignment)}-*.timer")
    waiting = f"systemctl list-units --plain --no-legend --state=waiting {others} | grep -q ."
    return f"{waiting} || echo {text} > {shlex.quote(str(file))}"


def _prefix(assignment: Assignment) -> str:
    return f"caplab-thaw-{assignment.pod_uid}"


def _unit(assignment: Assignment) -> str:
    return f"{_prefix(assignment)}-{assignment.fault_uid}"
