"""Network namespaces of pods, found by their processes, and programs run inside of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .cgroups import Cgroups, PodGroup
from .commands import ProgramResult, Start


@dataclass(frozen=True, slots=True)
class Namespace:
    """The network namespace of a process of a pod; inode tells it from all others that there are at the time."""

    group: PodGroup
    pid: int
    inode: int


class ProcessMoved(OSError):
    """The process is not there any more, or not where it was: look again."""


class Namespaces:
    """The namespaces of a node's pods; proc: the /proc that knows the node's processes."""

    def __init__(self, proc: Path, cgroups: Cgroups, start: Start) -> None:
        self._proc = proc
        self._cgroups = cgroups
        self._start = start

    def group(self, pod_uid: str) -> PodGroup | None:
        """The pod's cgroup; None: the pod is gone, or not there yet."""
        return self._cgroups.pod(pod_uid)

    def find(self, pod_uid: str) -> Namespace | None:
        """The namespace of a pod, by its process with the lowest id: mostly the sandbox's, which lives longest."""
        group = self._cgroups.pod(pod_uid)
        for pid in sorted(group.pids() - {0}) if group is not None else ():
            inode = self.inode(pid)
            if group is not None and inode is not None:
                return Namespace(group, pid, inode)
        return None

    def inode(self, pid: int) -> int | None:
        """Of the namespace of a process; None: it is gone."""
        try:
            return self._file(pid).stat().st_ino
        except OSError:
            return None

    def is_the_nodes(self, namespace: Namespace) -> bool:
        """Whether a pod's namespace is the node's own, where no fault may happen."""
        return namespace.inode == self.inode(1)

    def run(self, namespace: Namespace, argv: Sequence[str], text: str = "") -> ProgramResult:
        """Run a program in the namespace. Raises Moved, OSError."""
        try:
            file = os.open(self._file(namespace.pid), os.O_RDONLY)
        except FileNotFoundError as error:
            raise ProcessMoved(f"process {namespace.pid} is gone") from error
        try:
            # The id may belong to another process by now; what was opened stays what it is.
            if os.fstat(file).st_ino != namespace.inode or namespace.pid not in namespace.group.pids():
                raise ProcessMoved(f"process {namespace.pid} is another one by now")
            return self._start(("nsenter", f"--net=/proc/self/fd/{file}", *argv), text, (file,))()
        finally:
            os.close(file)

    def _file(self, pid: int) -> Path:
        return self._proc / str(pid) / "ns" / "net"
