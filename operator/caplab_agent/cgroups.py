"""The cgroups of pods and containers below /sys/fs/cgroup, found by uid and by id."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Reader: TypeAlias = Callable[[Path], list[int]]

_PREFERRED = ("freezer", "systemd", "unified")  # hierarchies of cgroup v1, each of which holds every process
_POD = re.compile(r"pod([0-9a-f]{8}[-_](?:[0-9a-f]{4}[-_]){3}[0-9a-f]{12})")
_CONTAINER = re.compile(r"[0-9a-f]{64}")
_ACCOUNTS = ("cpuacct", "cpu,cpuacct", "cpuacct,cpu")  # of cgroup v1, by the names that distributions mount it under
_GONE = (errno.ENOENT, errno.ENODEV)
_THREADED = errno.EOPNOTSUPP  # a threaded cgroup: the folder above lists its processes


def read_procs(folder: Path) -> list[int]:
    """Read the pids of the processes directly in a cgroup, as the node numbers them.

    A pid of 0 stands for a process that this pid namespace cannot see.
    """
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    except OSError as error:
        if error.errno in (*_GONE, _THREADED):
            return []
        raise


@dataclass(frozen=True, slots=True)
class Container:
    """A container's cgroup; folder None: it has none, or no longer has one."""

    id: str
    folder: Path | None
    read: Reader = read_procs

    @property
    def short(self) -> str:
        """The id's first 12 characters, enough for people to recognize it."""
        return self.id[:12]

    def pids(self) -> set[int]:
        """Read the pids of all processes in the cgroup and in those below it; empty also if it is gone."""
        if self.folder is None:
            return set()
        return _all_pids(self.folder, self.read)


@dataclass(frozen=True, slots=True)
class PodGroup:
    """The cgroup of a whole pod, which contains those of its containers; account: the file with its CPU time."""

    folder: Path
    account: Path
    read: Reader = read_procs

    def pids(self) -> set[int]:
        """Read the pids of all processes of the pod; empty also if it is gone."""
        return _all_pids(self.folder, self.read)

    def containers(self) -> int:
        """Count the containers that have a cgroup, including the sandbox and those that have ended."""
        try:
            return sum(1 for each in self.folder.iterdir() if each.is_dir() and _CONTAINER.search(each.name))
        except OSError:
            return 0

    def cpu_ns(self) -> int | None:
        """Read the CPU time that the pod has used so far, in nanoseconds; None: it is not accounted."""
        try:
            if self.account.name == "cpuacct.usage":
                return int(self.account.read_text())
            values = dict(line.split() for line in self.account.read_text().splitlines())
            return int(values["usage_usec"]) * 1000
        except (OSError, ValueError, KeyError):
            return None


class Cgroups:
    """Finds pods and containers below root, on cgroup v1 or v2, by systemd's names or plain ones."""

    def __init__(self, root: Path, read: Reader = read_procs) -> None:
        self._root = root
        self._read = read
        self._pods: dict[str, PodGroup] = {}

    def find(self, pod_uid: str, container_id: str) -> Container:
        """Find a container of a pod; its folder is None if it has no cgroup."""
        for top in self._hierarchies():
            for folder in _folders(top, pod_uid):
                if container_id in folder.name:
                    return Container(container_id, folder, self._read)
        return Container(container_id, None, self._read)

    def pod(self, pod_uid: str) -> PodGroup | None:
        """Find the cgroup of a pod; None: it has none yet, or no longer has one."""
        cached = self._pods.get(pod_uid)
        if cached is not None and cached.folder.is_dir():  # a live fault asks again and again
            return cached
        self._pods.pop(pod_uid, None)
        group = self._find_pod(pod_uid)
        if group is not None:
            self._pods[pod_uid] = group
        return group

    def _find_pod(self, pod_uid: str) -> PodGroup | None:
        for top in self._hierarchies():
            for folder in _folders(top, pod_uid):
                if _of(folder.name, pod_uid):
                    return PodGroup(folder, self._account(top, folder), self._read)
        return None

    def _account(self, top: Path, folder: Path) -> Path:
        for name in _ACCOUNTS:
            if (self._root / name).is_dir():
                return self._root / name / folder.relative_to(top) / "cpuacct.usage"
        return folder / "cpu.stat"

    def _hierarchies(self) -> list[Path]:
        if (self._root / "cgroup.controllers").exists():
            return [self._root]
        mounted = [self._root / name for name in _PREFERRED if (self._root / name).is_dir()]
        return mounted or [self._root]


def _folders(top: Path, pod_uid: str) -> Iterator[Path]:
    """Walk all folders but those of other pods: a node has many, and time counts."""
    for folder, below, _ in os.walk(top):
        below[:] = [name for name in below if not _POD.search(name) or _of(name, pod_uid)]
        yield from (Path(folder, name) for name in below)


def _of(name: str, pod_uid: str) -> bool:
    match = _POD.search(name)
    return bool(match) and match[1].replace("_", "-") == pod_uid  # type: ignore[index]


def _all_pids(top: Path, read: Reader) -> set[int]:
    return {pid for folder, _, _ in os.walk(top) for pid in read(Path(folder))}
