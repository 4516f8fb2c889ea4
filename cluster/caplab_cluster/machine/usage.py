"""What nodes, and pods on them, use: memory and processor time, from their own cgroups."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..engine import ContainerEngine
from ..shell import CommandResult

# Bytes in use without the file cache (the kernel drops that when room is needed), then nanoseconds of processor time;
# cgroup v2 first. The node's own cgroup is the root of what it sees; with an argument, that of the pod with this uid,
# which is below it.
_READ = r"""
root=${2:-/sys/fs/cgroup}
of_pod() { if [ -n "$uid" ]; then find "$1" -type d -name "*pod$uid*" -print -quit; else echo "$1"; fi; }
uid=$(echo "$1" | tr - '?')
if [ -f "$root/cgroup.controllers" ]; then
  memory=$(of_pod "$root")
  cd "${memory:-/none}" || exit 1
  used=memory.current stat=memory.stat
  nanoseconds=$(( $(awk '$1 == "usage_usec" {print $2}' cpu.stat) * 1000 ))
else
  nanoseconds=$(cat "$(of_pod "$root/cpuacct")/cpuacct.usage") || exit 1
  memory=$(of_pod "$root/memory")
  cd "${memory:-/none}" || exit 1
  used=memory.usage_in_bytes stat=memory.stat
fi
cache=$(awk '$1 ~ /^(total_)?(in)?active_file$/ {n[$1] = $2}
  END {t = ("total_active_file" in n) ? "total_" : ""; printf "%d", n[t "active_file"] + n[t "inactive_file"]}' $stat)
echo $(( $(cat $used) - cache ))
echo $nanoseconds
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes in use without file cache, and cores in use over the time measured."""

    memory_bytes: int
    cores: float


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that something may use."""

    memory_gib: float
    cores: float

    def holds(self, usage: Usage) -> bool:
        """Return whether the usage is within it."""
        return usage.memory_bytes < self.memory_gib * 1024**3 and usage.cores < self.cores


# What all nodes may use while only the lab itself runs, by part. Without Prometheus it was 1.5 GiB until the API server
# had each engine's parameters to check by rule, and what the operator applies by policy: 1.54 to 1.58 GiB since, of
# which Prometheus uses 0.37.
IDLE_PARTS = {"nodes": Budget(1.7, 0.4), "caplab-prometheus": Budget(0.2, 0.1)}
# What is there only if its image can be pulled; not measured yet, except for the limit of its pod.
IDLE_PARTS_PULLED = {"caplab-grafana": Budget(0.25, 0.05)}
IDLE_MEMORY_GIB = sum(part.memory_gib for part in IDLE_PARTS.values())
IDLE_CORES = sum(part.cores for part in IDLE_PARTS.values())


def measure(engine: ContainerEngine, nodes: Sequence[str], seconds: float) -> dict[str, Usage]:
    """Read every node's cgroup twice, `seconds` apart; {} if one does not answer."""
    return measure_pods(engine, {node: (node, "") for node in nodes}, seconds)


def measure_pods(engine: ContainerEngine, pods: Mapping[str, tuple[str, str]], seconds: float) -> dict[str, Usage]:
    """Read the cgroups of pods in the same way, each by node and uid ('' is the node itself); {} if one is missing."""
    before, started = _read(engine, pods), time.monotonic()
    time.sleep(seconds)
    after, elapsed = _read(engine, pods), time.monotonic() - started
    if len(before) != len(pods) or len(after) != len(pods):
        return {}
    return {name: Usage(after[name][0], (after[name][1] - before[name][1]) / 1e9 / elapsed) for name in pods}


def _read(engine: ContainerEngine, pods: Mapping[str, tuple[str, str]]) -> dict[str, tuple[int, int]]:
    def ask(place: tuple[str, str]) -> CommandResult:
        node, uid = place
        return engine.exec(node, "bash", "-c", _READ, "read", uid)

    with ThreadPoolExecutor(max(1, len(pods))) as pool:
        answers = dict(zip(pods, pool.map(ask, pods.values()), strict=True))
    numbers = {name: answer.out.split() for name, answer in answers.items() if answer.ok}
    return {name: (int(pair[0]), int(pair[1])) for name, pair in numbers.items() if len(pair) == 2}
