"""Containers as the kernel sees them: cgroups, found by the container's id below /sys/fs/cgroup."""

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
        return {pid for folder, _, _ in os.walk(self.folder) for pid in self.read(Path(folder))}


class Cgroups:
    """Finds containers below root, of cgroup v1 or v2, with systemd's names or plain ones."""

    def __init__(self, root: Path, read: Reader = read_procs) -> None:
        self._root = root
        self._read = read

    def find(self, pod_uid: str, container_id: str) -> Container:
        """A container of a pod; its folder is None when it has no cgroup."""
        for top in self._hierarchies():
            for folder in _folders(top, pod_uid):
                if container_id in folder.name:
                    return Container(container_id, folder, self._read)
        return Container(container_id, None, self._read)

    def _hierarchies(self) -> list[Path]:
        if (self._root / "cgroup.controllers").exists():
            return [self._root]
        there = [self._root / name for name in _PREFERRED if (self._root / name).is_dir()]
        return there or [self._root]


def _folders(top: Path, pod_uid: str) -> Iterator[Path]:
    """Every folder but those of other pods: a node has many, and time counts."""
    for folder, below, _ in os.walk(top):
        below[:] = [name for name in below if not _of_another(name, pod_uid)]
        yield from (Path(folder, name) for name in below)


def _of_another(name: str, pod_uid: str) -> bool:
    found = _POD.search(name)
    return bool(found) and found[1].replace("_", "-") != pod_uid  # type: ignore[index]
