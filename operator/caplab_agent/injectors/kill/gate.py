"""The start gate of a member: while its volume holds a file closed-<Fault uid>, run-member starts no database.

A file keeps the gate closed by itself, for a bounded time. It names the boot and the time of /proc/uptime at which it
expires, so that a member comes back even if the agent and the API server are gone for good.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from ...clock import Clock
from ...faults import Assignment

VOLUME = "gate"
GRACE_CENTISECONDS = 50  # the agent's heal opens the gate; the file expires for when there is no agent


class GateState(Enum):
    """The state of a gate when it was to be opened."""

    HELD = "held"
    EXPIRED = "expired"  # the file was there but no longer valid
    REMOVED = "removed"  # the file was not there
    GONE = "gone"  # neither was the pod's volume


class NoGate(Exception):
    """A pod without a gate; the message names the pod, with a hint."""


class Gates:
    """The gates of a node's pods, below kubelet's folder of pods.

    The folders belong to the pods, which may put links into them: all access is relative to an open folder, and
    follows no link.
    """

    def __init__(self, pods: Path, clock: Clock) -> None:
        self._pods = pods
        self._clock = clock

    def close(self, assignment: Assignment, seconds: float) -> None:
        """Keep the pod's member from starting for so many seconds, or until release. Raises NoGate, OSError."""
        self.hold(assignment.pod_uid, assignment.pod, assignment.fault_uid, seconds)

    def release(self, assignment: Assignment) -> GateState:
        """Remove this fault's file, and return how the gate was before; safe to repeat. Raises OSError."""
        return self.let_go(assignment.pod_uid, assignment.fault_uid)

    def hold(self, pod_uid: str, pod: str, hold: str, seconds: float) -> None:
        """Put a file of a name of its own, which keeps the gate closed for so many seconds. Raises NoGate, OSError."""
        until = self._clock.uptime_centiseconds() + int(seconds * 100) + 1 + GRACE_CENTISECONDS
        draft = f"draft-{hold}"
        try:
            with self._folder(pod_uid) as folder:
                _remove(draft, folder)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                with os.fdopen(os.open(draft, flags, 0o644, dir_fd=folder), "w") as file:
                    os.fchmod(
                        file.fileno(), 0o644
                    )  # the member's user must be able to read it, whatever the agent's umask
                    file.write(f"{self._clock.boot_id} {until}\n")
                os.rename(draft, f"closed-{hold}", src_dir_fd=folder, dst_dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NoGate(
                f"pod {pod} has no volume '{VOLUME}' on this node, so it cannot be kept down. "
                "Hint: use keepDown: false, or delete the pod, so that the operator recreates it with the volume"
            ) from error

    def let_go(self, pod_uid: str, hold: str) -> GateState:
        """Remove the file of that name, and return how the gate was before; safe to repeat. Raises OSError."""
        try:
            with self._folder(pod_uid) as folder:
                _remove(f"draft-{hold}", folder)
                line = _read(f"closed-{hold}", folder)
                return self._judge(line) if _remove(f"closed-{hold}", folder) else GateState.REMOVED
        except (FileNotFoundError, NotADirectoryError):
            return GateState.GONE

    def exists(self, assignment: Assignment) -> bool:
        """Check whether the pod's volume exists; it is deleted with its pod."""
        return self._volume(assignment.pod_uid).is_dir()

    def _judge(self, line: str) -> GateState:
        boot_id, _, until = line.strip().partition(" ")
        holds = boot_id == self._clock.boot_id and until.isdecimal() and int(until) > self._clock.uptime_centiseconds()
        return GateState.HELD if holds else GateState.EXPIRED

    @contextmanager
    def _folder(self, pod_uid: str) -> Iterator[int]:
        folder = os.open(self._volume(pod_uid), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            yield folder
        finally:
            os.close(folder)

    def _volume(self, pod_uid: str) -> Path:
        return self._pods / pod_uid / "volumes" / "kubernetes.io~empty-dir" / VOLUME


def _read(name: str, folder: int) -> str:
    try:
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder), "rb") as file:
            return file.read(200).decode(errors="replace")
    except OSError:  # it is missing, or not the file that was created: its removal tells which
        return ""


def _remove(name: str, folder: int) -> bool:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True
