"""The holds of freezes on pods: a pod is frozen exactly while a freeze holds it and no kill is under way in it.

On cgroup v1 a frozen process dies only once it is thawed. So a kill has its pod thawed from its first SIGKILL until
all its processes have ended, and no freeze begins in between.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .clock import Clock, Instant
from .freezer import Freezer, FreezerState

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FreezeResult:
    """When a freeze began, and when every process had stopped; None: some did not stop in time."""

    began: Instant
    frozen_ns: int | None


@dataclass(slots=True)
class _Pod:
    changed: threading.Condition = field(default_factory=threading.Condition)
    holders: set[str] = field(default_factory=set)  # uids of Faults
    kills: int = 0
    folder: Path | None = None  # known as soon as a fault holds the pod


class Holds:
    """The holds on a node's pods, by the uids of pods and Faults. May be used from any thread.

    What an earlier agent froze becomes known by adopt.
    """

    def __init__(self, freezer: Freezer, clock: Clock) -> None:
        self._freezer = freezer
        self._clock = clock
        self._lock = threading.Lock()
        self._pods: dict[str, _Pod] = {}

    def acquire(self, pod_uid: str, fault_uid: str, folder: Path) -> FreezeResult:
        """Freeze the pod until the same fault releases it; on failure the fault does not hold it. Raises OSError."""
        pod = self._pod(pod_uid)
        with pod.changed:
            pod.changed.wait_for(lambda: not pod.kills)
            pod.folder = folder
            pod.holders.add(fault_uid)
            began, frozen = self._clock.now(), False
            try:
                frozen = self._freezer.freeze(folder)
            finally:
                if not frozen:
                    self._remove_holder(pod, fault_uid)
            return FreezeResult(began, self._clock.now().ns if frozen else None)

    def adopt(self, pod_uid: str, fault_uid: str, folder: Path) -> FreezerState:
        """Note that a fault holds the pod, whichever agent froze it, and return its state. Raises OSError."""
        pod = self._pod(pod_uid)
        with pod.changed:
            pod.folder = folder
            pod.holders.add(fault_uid)
            return self._state(pod, folder)

    def release(self, pod_uid: str, fault_uid: str, folder: Path) -> FreezerState:
        """End a fault's hold, thaw the pod if it was the last, and return the state before.

        Safe to repeat. Raises OSError.
        """
        pod = self._pod(pod_uid)
        with pod.changed:
            state = self._state(pod, folder)
            pod.folder = folder
            self._remove_holder(pod, fault_uid)
            return state

    def forget(self, pod_uid: str) -> None:
        """Drop a pod that is gone, with all its holds."""
        with self._lock:
            self._pods.pop(pod_uid, None)

    @contextmanager
    def thawed(self, pod_uid: str) -> Iterator[None]:
        """Keep a pod thawed inside the block, and freeze it again afterwards if a fault still holds it."""
        pod = self._pod(pod_uid)
        with pod.changed:
            pod.kills += 1
        try:
            with pod.changed:
                if pod.holders and pod.folder is not None:
                    self._freezer.thaw(pod.folder)
            yield
        finally:
            with pod.changed:
                pod.kills -= 1
                self._freeze_again(pod)
                pod.changed.notify_all()

    def _freeze_again(self, pod: _Pod) -> None:
        if pod.kills or not pod.holders or pod.folder is None:
            return
        try:
            if self._freezer.freeze(pod.folder):
                return
        except OSError:
            _log.exception("Cannot freeze %s again after a kill", pod.folder)
        _log.warning("%s did not freeze again after a kill", pod.folder)

    def _remove_holder(self, pod: _Pod, fault_uid: str) -> None:
        pod.holders.discard(fault_uid)
        if not pod.holders and pod.folder is not None:
            self._freezer.thaw(pod.folder)

    def _state(self, pod: _Pod, folder: Path) -> FreezerState:
        state = self._freezer.state(folder)
        # A pod that is thawed for a kill counts as frozen: the kill ends every process that would go on.
        return FreezerState.FROZEN if pod.kills and pod.holders and state is not FreezerState.GONE else state

    def _pod(self, pod_uid: str) -> _Pod:
        with self._lock:
            return self._pods.setdefault(pod_uid, _Pod())
