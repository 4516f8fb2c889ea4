"""What the nodes take: memory in use and processor time, from their own cgroups."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .engine import Engine

# What all nodes may take while nothing runs but the lab itself. It was 1.5 GiB until the API server had each engine's
# parameters to check by rule, and what the operator applies by policy: 1.54 to 1.58 GiB since, of which it takes 0.37.
IDLE_MEMORY_GIB, IDLE_CORES = 1.7, 0.4

# Bytes in use without the file cache (the kernel drops that when somebody needs the room),
# then nanoseconds of processor time; cgroup v2 first. The node's own cgroup is the root of
# what it sees.
_READ = r"""
cd /sys/fs/cgroup
if [ -f cgroup.controllers ]; then
  used=memory.current stat=memory.stat
  nanoseconds=$(( $(awk '$1 == "usage_usec" {print $2}' cpu.stat) * 1000 ))
else
  used=memory/memory.usage_in_bytes stat=memory/memory.stat
  nanoseconds=$(cat cpuacct/cpuacct.usage)
fi
cache=$(awk '$1 ~ /^(total_)?(in)?active_file$/ {n[$1] = $2}
  END {t = ("total_active_file" in n) ? "total_" : ""; printf "%d", n[t "active_file"] + n[t "inactive_file"]}' $stat)
echo $(( $(cat $used) - cache ))
echo $nanoseconds
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes in use without file cache, and cores in use over the time looked at."""

    memory_bytes: int
    cores: float


def measure(engine: Engine, nodes: Sequence[str], seconds: float) -> dict[str, Usage]:
    """Look at every node's cgroup twice, `seconds` apart; {} where one does not answer."""
    before, started = _read(engine, nodes), time.monotonic()
    time.sleep(seconds)
    after, elapsed = _read(engine, nodes), time.monotonic() - started
    if len(before) != len(nodes) or len(after) != len(nodes):
        return {}
    return {node: Usage(after[node][0], (after[node][1] - before[node][1]) / 1e9 / elapsed) for node in nodes}


def _read(engine: Engine, nodes: Sequence[str]) -> dict[str, tuple[int, int]]:
    with ThreadPoolExecutor(max(1, len(nodes))) as pool:
        answers = dict(zip(nodes, pool.map(lambda node: engine.inside(node, "bash", "-c", _READ), nodes), strict=True))
    numbers = {node: answer.out.split() for node, answer in answers.items() if answer.ok}
    return {node: (int(pair[0]), int(pair[1])) for node, pair in numbers.items() if len(pair) == 2}
