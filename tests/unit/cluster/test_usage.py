"""What nodes and pods take is read from their cgroups, of either version."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from caplab_cluster.machine import usage
from caplab_cluster.machine.usage import Budget, Usage
from caplab_cluster.shell import CommandResult

UID = "12ab-34cd"
GIB = 1024**3
# What has a pod's uid in its name, by cgroup driver.
PLACES = ["kubelet/kubepods/burstable/pod12ab-34cd", "kubelet.slice/kubelet-kubepods-pod12ab_34cd.slice"]


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def version_2(folder: Path, memory: int, microseconds: int) -> None:
    stat = "active_file 10\ninactive_file 20\nanon 5"
    write(folder, memory__current=str(memory), memory__stat=stat, cpu__stat=f"usage_usec {microseconds}\nuser_usec 1")


def version_1(root: Path, place: str, memory: int, nanoseconds: int) -> None:
    stat = "active_file 1\ninactive_file 1\ntotal_active_file 10\ntotal_inactive_file 20"
    write(root / "memory" / place, memory__usage_in_bytes=str(memory), memory__stat=stat)
    write(root / "cpuacct" / place, cpuacct__usage=str(nanoseconds))


def read(root: Path, uid: str) -> list[int]:
    done = subprocess.run(
        ["bash", "-c", usage._READ, "read", uid, str(root)], capture_output=True, text=True, check=False, timeout=20
    )
    return [int(number) for number in done.stdout.split()] if done.returncode == 0 else []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("version", [1, 2])
def test_a_nodes_and_a_pods_own_figures_without_the_file_cache(tmp_path: Path, place: str, version: int) -> None:
    if version == 2:
        write(tmp_path, cgroup__controllers="cpu memory")
        version_2(tmp_path, 1030, 7)
        version_2(tmp_path / place, 130, 3)
        version_2(tmp_path / place / "container", 1, 1)
    else:
        version_1(tmp_path, "", 1030, 7000)
        version_1(tmp_path, place, 130, 3000)
        version_1(tmp_path, f"{place}/container", 1, 1)
    assert read(tmp_path, "") == [1000, 7000]
    assert read(tmp_path, UID) == [100, 3000]
    assert read(tmp_path, "no-such-pod") == []


class FakeEngine:
    """Each look finds one gigabyte, and a second of processor time more than the one before; a lost node is silent."""

    def __init__(self) -> None:
        self.nanoseconds = 0

    def exec(self, node: str, *command: str) -> CommandResult:
        assert command[:2] == ("bash", "-c")
        if node == "lost":
            return CommandResult(1, "", "no such container")
        self.nanoseconds += 10**9
        return CommandResult(0, f"{GIB}\n{self.nanoseconds}\n", "")


def measured(nodes: Sequence[str]) -> dict[str, Usage]:
    return usage.measure(FakeEngine(), nodes, 0.05)  # type: ignore[arg-type]


def test_cores_are_what_was_taken_between_two_looks() -> None:
    (taken,) = measured(["node"]).values()
    assert taken.memory_bytes == GIB
    assert taken.cores > 1


def test_nothing_is_told_where_one_is_not_found() -> None:
    assert measured(["node", "lost"]) == {}


def test_a_budget_holds_for_both_or_not_at_all() -> None:
    budget = Budget(memory_gib=1, cores=0.5)
    assert budget.holds(Usage(GIB - 1, 0.49))
    assert not budget.holds(Usage(GIB, 0.1))
    assert not budget.holds(Usage(1, 0.5))


def test_what_all_may_take_is_what_its_parts_may() -> None:
    assert pytest.approx(sum(part.memory_gib for part in usage.IDLE_PARTS.values())) == usage.IDLE_MEMORY_GIB
    assert pytest.approx(sum(part.cores for part in usage.IDLE_PARTS.values())) == usage.IDLE_CORES
