"""Pods and containers as the kernel sees them: cgroups below /sys/fs/cgroup, found by uid and by id."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Reader: TypeAlias = Callable[[Path], list[int]]

_PREFERRED = ("freezer", "systemd", "unified")  # of cgroup v1, where every hierarchy holds every process
_POD = re.compile(r"pod([0-9a-f]{8}[-_](?:[0-9a-f]{4}[-_]){3}[0-9a-f]{12})")
_CONTAINER = re.compile(r"[0-9a-f]{64}")
_ACCOUNTS = ("cpuacct", "cpu,cpuacct", "cpuacct,cpu")  # of cgroup v1, as distributions mount it
_GONE = (errno.ENOENT, errno.ENODEV)
_THREADED = errno.EOPNOTSUPP  # its processes are listed by the folder above


def read_procs(folder: Path) -> list[int]:
    """The processes right in a cgroup, by the node's ids; 0 is one of another pid namespace."""
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    except OSError as error:
        if error.errno in (*_GONE, _THREADED):
            return []
        raise


@dataclass(frozen=True, slots=True)
class Container:
    """A container's cgroup; folder None: there is none (any more)."""

    id: str
    folder: Path | None
    read: Reader = read_procs

    @property
    def short(self) -> str:
        """Enough of the id for people."""
        return self.id[:12]

    def pids(self) -> set[int]:
        """Every process in it and in the cgroups below; empty also when it is gone."""
        if self.folder is None:
            return set()
        return _all_pids(self.folder, self.read)


@dataclass(frozen=True, slots=True)
class PodGroup:
    """The cgroup of a whole pod, which each of its containers is made in; account: the file with its CPU time."""

    folder: Path
    account: Path
    read: Reader = read_procs

    def pids(self) -> set[int]:
        """Every process of the pod; empty also when it is gone."""
        return _all_pids(self.folder, self.read)

    def containers(self) -> int:
        """How many containers have a cgroup, the sandbox and such as have ended included."""
        try:
            return sum(1 for each in self.folder.iterdir() if each.is_dir() and _CONTAINER.search(each.name))
        except OSError:
            return 0

    def cpu_ns(self) -> int | None:
        """The CPU time the pod has used so far; None when nobody keeps count."""
        try:
            if self.account.name == "cpuacct.usage":
                return int(self.account.read_text())
            values = dict(line.split() for line in self.account.read_text().splitlines())
            return int(values["usage_usec"]) * 1000
        except (OSError, ValueError, KeyError):
            return None


class Cgroups:
    """Finds pods and containers below root, of cgroup v1 or v2, with systemd's names or plain ones."""

    def __init__(self, root: Path, read: Reader = read_procs) -> None:
        self._root = root
        self._read = read
        self._pods: dict[str, PodGroup] = {}

    def find(self, pod_uid: str, container_id: str) -> Container:
        """A container of a pod; its folder is None when it has no cgroup."""
        for top in self._hierarchies():
            for folder in _folders(top, pod_uid):
                if container_id in folder.name:
                    return Container(container_id, folder, self._read)
        return Container(container_id, None, self._read)

    def pod(self, pod_uid: str) -> PodGroup | None:
        """The cgroup of a pod; None when it has none (yet, or any more)."""
        cached = self._pods.get(pod_uid)
        if cached is not None and cached.folder.is_dir():  # it is asked for again and again while a fault is live
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
    """Every folder but those of other pods: a node has many, and time counts."""
    for folder, below, _ in os.walk(top):
        below[:] = [name for name in below if not _POD.search(name) or _of(name, pod_uid)]
        yield from (Path(folder, name) for name in below)


def _of(name: str, pod_uid: str) -> bool:
    match = _POD.search(name)
    return bool(match) and match[1].replace("_", "-") == pod_uid  # type: ignore[index]


def _all_pids(top: Path, read: Reader) -> set[int]:
    return {pid for folder, _, _ in os.walk(top) for pid in read(Path(folder))}
