"""The dead man's switch of a freeze: a timer of the node's systemd, which thaws the pod if no agent does.

Each freeze has a timer for its own end, and stops it when it heals. If freezes overlap, a timer that finds another one
of the same pod still waiting leaves the thaw to that one. So a pod stays frozen until the last end, whenever the agent
dies, and no timer has to be changed while other faults hold the pod.
"""

from __future__ import annotations

import logging
import shlex
from pathlib import Path

from ...commands import Start
from ...faults import Assignment

GRACE_SECONDS = 0.5  # the agent's heal thaws the pod; the timer is for when there is no agent
_NODE = ("nsenter", "-t", "1", "-m", "--")
_log = logging.getLogger(__name__)


class ThawTimers:
    """The node's timers, one for each assignment."""

    def __init__(self, start: Start) -> None:
        self._start = start

    def set(self, assignment: Assignment, seconds: float, file: Path, text: str) -> str:
        """Set a timer that writes text to file after so many seconds plus the grace; why it failed, '' if it is set."""
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
        except OSError as error:  # it took too long but may have been set, and other timers would wait for it
            self.stop(assignment)
            return str(error)
        return result.reason if result.code else ""

    def stop(self, assignment: Assignment) -> None:
        """Stop an assignment's timer, if it exists. A failure is logged: at worst the timer thaws a thawed pod."""
        try:
            result = self._start((*_NODE, "systemctl", "stop", f"{_unit(assignment)}.timer"))()
        except OSError as error:
            _log.warning("Cannot stop %s: %s", _unit(assignment), error)
            return
        if result.code and "not loaded" not in result.err:
            _log.warning("Cannot stop %s: %s", _unit(assignment), result.reason)


def script(assignment: Assignment, file: Path, text: str) -> str:
    """Write a timer's shell script (pure): thaw the pod, unless another timer of it waits.

    A timer whose script runs no longer counts as waiting.
    """
    others = shlex.quote(f"{_prefix(assignment)}-*.timer")
    waiting = f"systemctl list-units --plain --no-legend --state=waiting {others} | grep -q ."
    return f"{waiting} || echo {text} > {shlex.quote(str(file))}"


def _prefix(assignment: Assignment) -> str:
    return f"caplab-thaw-{assignment.pod_uid}"


def _unit(assignment: Assignment) -> str:
    return f"{_prefix(assignment)}-{assignment.fault_uid}"
