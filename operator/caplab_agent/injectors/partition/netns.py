"""Network namespaces of pods, which are found by their processes, and programs that run inside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...cgroups import Cgroups, PodGroup
from ...commands import ProgramResult, Start


@dataclass(frozen=True, slots=True)
class Namespace:
    """The network namespace of a pod's process; among those that exist at a time, the inode is unique."""

    group: PodGroup
    pid: int
    inode: int


class ProcessMoved(OSError):
    """A process that is gone, or no longer in its namespace: look it up again."""


class Namespaces:
    """The network namespaces of a node's pods; proc: the /proc with the node's processes."""

    def __init__(self, proc: Path, cgroups: Cgroups, start: Start) -> None:
        self._proc = proc
        self._cgroups = cgroups
        self._start = start

    def group(self, pod_uid: str) -> PodGroup | None:
        """Find the pod's cgroup; None: the pod is gone, or does not run yet."""
        return self._cgroups.pod(pod_uid)

    def find(self, pod_uid: str) -> Namespace | None:
        """Find a pod's namespace by its process with the lowest pid: usually the sandbox's, which lives longest."""
        group = self._cgroups.pod(pod_uid)
        for pid in sorted(group.pids() - {0}) if group is not None else ():
            inode = self.inode(pid)
            if group is not None and inode is not None:
                return Namespace(group, pid, inode)
        return None

    def inode(self, pid: int) -> int | None:
        """Read the inode of a process's namespace; None: the process is gone."""
        try:
            return self._file(pid).stat().st_ino
        except OSError:
            return None

    def is_the_nodes(self, namespace: Namespace) -> bool:
        """Check whether a pod's namespace is the node's own, in which no fault is allowed."""
        return namespace.inode == self.inode(1)

    def run(self, namespace: Namespace, argv: Sequence[str], text: str = "") -> ProgramResult:
        """Run a program in the namespace, and wait for its end. Raises ProcessMoved, OSError."""
        try:
            file = os.open(self._file(namespace.pid), os.O_RDONLY)
        except FileNotFoundError as error:
            raise ProcessMoved(f"process {namespace.pid} is gone") from error
        try:
            # By now the pid may belong to another process; the open file stays the same namespace.
            if os.fstat(file).st_ino != namespace.inode or namespace.pid not in namespace.group.pids():
                raise ProcessMoved(f"pid {namespace.pid} now belongs to another process or namespace")
            return self._start(("nsenter", f"--net=/proc/self/fd/{file}", *argv), text, (file,))()
        finally:
            os.close(file)

    def _file(self, pid: int) -> Path:
        return self._proc / str(pid) / "ns" / "net"
