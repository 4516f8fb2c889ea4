"""Pruning: old runs' folders are removed when a probe begins, so that histories never fill their volume.

A full emptyDir is worse than a lost old history: the kubelet evicts the pod, and all histories are lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..spec import NAME, NAMESPACE_NAME

# A run's driver fetches its history when it ends. 200 are the repeats of several days, and few enough to go through
# each time: a run of minutes is some hundreds of files.
RUNS_MAX = 200
# Half of the volume's 2 GiB (charts/caplab/templates/prober.yaml). The other half is for what runs write until the next
# one begins: 8 hours at 200 operations a second and 185 bytes a row, 1.8 at 1000.
BYTES_MAX = 1 << 30
_REMOVING = ".going-"  # no run's name begins with a dot
# Files that a prober writes. By hand it may be given any folder, in which others' files must stay.
_PROBER_FILE = re.compile(r"(meta|scan)-\d{2}\.(json|draft)|\d{2}-\d{8}\.arrows(\.part)?")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder: its size on disk, and the newest time of change in it (wall clock).

    name: the run's name, after its namespace if it has one: demo/r-1.
    """

    name: str
    size_bytes: int
    changed_ns: int

    @property
    def namespace(self) -> str:
        """The namespace of the run; '' where runs have none."""
        return self.name.rpartition("/")[0]


def surplus(
    runs: Iterable[RunFolder], in_use: Collection[str], count: int = RUNS_MAX, size_bytes: int = BYTES_MAX
) -> tuple[str, ...]:
    """Return the names of the runs to remove so that both limits are kept; those in use stay, whatever their size.

    They are the oldest of the namespace that has the most: a busy namespace loses its own old runs, and not another's.
    """
    left = sorted(runs, key=lambda run: (run.changed_ns, run.name))
    gone: list[str] = []
    while len(left) > count or sum(run.size_bytes for run in left) > size_bytes:
        going = [run for run in left if run.name not in in_use]
        if not going:
            break
        by_size = sum(run.size_bytes for run in left) > size_bytes
        taken: Counter[str] = Counter()
        for run in left:
            taken[run.namespace] += run.size_bytes if by_size else 1
        most = max(taken[run.namespace] for run in going)
        oldest = next(run for run in going if taken[run.namespace] == most)
        gone.append(oldest.name)
        left.remove(oldest)
    return tuple(gone)


class RunsInUse:
    """The runs that this process' probes write to; for one event loop."""

    def __init__(self) -> None:
        self._users: Counter[str] = Counter()
        # One at a time: a run that is resumed while others are removed begins after that.
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def using(self, folder: Path, run_id: str) -> AsyncIterator[None]:
        """Make a run's folder under folder, and keep it while the block runs. Older runs may be removed first.

        Raises OSError.
        """
        self._users[run_id] += 1
        try:
            async with self._lock:
                # In a thread: other probes of this process keep their schedules.
                await asyncio.to_thread(_make_run_folder, folder, run_id, frozenset(self._users))
            yield
        finally:
            self._users[run_id] -= 1
            if not self._users[run_id]:
                del self._users[run_id]


def _make_run_folder(folder: Path, run_id: str, in_use: Collection[str]) -> None:
    (folder / run_id).mkdir(parents=True, exist_ok=True)
    try:
        prune(folder, in_use)
    except OSError as error:  # a failure to remove others' folders does not hold a probe back
        log.warning("old runs in %s could not be removed: %s", folder, error)


def prune(folder: Path, in_use: Collection[str], count: int = RUNS_MAX, size_bytes: int = BYTES_MAX) -> None:
    """Remove a folder's `surplus` runs. Raises OSError.

    A folder is renamed first: a reader of histories finds a run whole or not at all.
    """
    for name in surplus(measure(folder), in_use, count, size_bytes):
        log.info("removing the old run %s", name)
        run = folder / name
        run.rename(run.with_name(f"{_REMOVING}{run.name}"))
    # Includes what a killed prober had begun to remove.
    for removing in (*folder.glob(f"{_REMOVING}*"), *folder.glob(f"*/{_REMOVING}*")):
        shutil.rmtree(removing)


def measure(folder: Path) -> list[RunFolder]:
    """Measure the run folders under a folder and its namespaces; other files are not ours to remove. Raises OSError."""
    return [*_runs(folder, ""), *(run for name in _namespaces(folder) for run in _runs(folder / name, f"{name}/"))]


def _runs(folder: Path, before: str) -> list[RunFolder]:
    with os.scandir(folder) as entries:
        runs = [_measure(entry, before) for entry in entries if _is_run(entry)]
    return [run for run in runs if run is not None]


def _namespaces(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [
            entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False) and NAMESPACE_NAME.fullmatch(entry.name)
        ]


def _is_run(entry: os.DirEntry[str]) -> bool:
    return NAME.fullmatch(entry.name) is not None and entry.is_dir(follow_symlinks=False)


def _measure(run: os.DirEntry[str], before: str) -> RunFolder | None:
    stats = [run.stat()]
    with os.scandir(run) as entries:
        for entry in entries:
            if _PROBER_FILE.fullmatch(entry.name) is None:
                return None
            with suppress(FileNotFoundError):  # a segment is renamed when its second is over
                stats.append(entry.stat())
    # The kubelet counts blocks; a file just written may have none yet.
    size_bytes = sum(max(stat.st_size, stat.st_blocks * 512) for stat in stats)
    return RunFolder(f"{before}{run.name}", size_bytes, max(stat.st_mtime_ns for stat in stats))
