"""The faults and loads on the real cluster, seen from outside: objects, gates, journals."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from caplab_cluster.kind_cluster import WORKERS

from support.kind.kind_lab import Lab

ENDED = ("Healed", "Failed")


def gate_files(lab: Lab) -> list[str]:
    """List the gates that are closed on any node."""
    shell = "find /var/lib/kubelet/pods -path '*/volumes/*empty-dir/gate/closed-*'"
    return [line for node in WORKERS for line in lab.engine.ask("exec", node, "sh", "-c", shell).out.split()]


def journals(lab: Lab) -> list[str]:
    """List the entries of the agents' journals."""
    contents = []
    for node in WORKERS:
        answer = lab.engine.ask("exec", node, "sh", "-c", "cat /var/lib/caplab/faults.json 2>/dev/null || true")
        if answer.out.strip() and json.loads(answer.out).get("entries"):
            contents.append(f"{node}: {answer.out}")
    return contents


def live_faults(lab: Lab) -> list[str]:
    """List the faults in any namespace that have not ended."""
    faults: list[dict[str, Any]] = lab.get("faults", "-A")["items"]
    return [
        f"{fault['metadata']['namespace']}/{fault['metadata']['name']}"
        for fault in faults
        if fault.get("status", {}).get("phase") not in ENDED
    ]


def running_loads(lab: Lab, namespace: str) -> list[str]:
    """List the loads of a namespace that run at some vantage."""
    probes: list[dict[str, Any]] = lab.get("probes", "-n", namespace)["items"]
    return [
        f"{probe['metadata']['name']} at {entry['name']}"
        for probe in probes
        for entry in probe.get("status", {}).get("vantages", [])
        if entry["phase"] in ("Pending", "Running")
    ]


def digest_of(folder: Path) -> str:
    """Return names, sizes and times of everything in a folder."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if not path.is_symlink():
            state.update(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
    return state.hexdigest()


def drop_rules(lab: Lab) -> list[str]:
    """List the lab's tables in the network namespace of any pod of any node."""
    return _nft(lab, "nft list tables", "caplab_")


def cuts(lab: Lab) -> list[str]:
    """List the sets of addresses that are dropped, without those whose time is over."""
    return _nft(lab, "nft list ruleset", "elements = { [0-9.]* timeout")


def _nft(lab: Lab, command: str, wanted: str) -> list[str]:
    """Run a command in each network namespace of each node. Returns the wanted lines."""
    shell = (
        "for net in $(for pid in /proc/[0-9]*; do readlink $pid/ns/net && echo $pid; done 2>/dev/null"
        f" | paste - - | sort -u -k1,1 | cut -f2); do nsenter --net=$net/ns/net {command} 2>/dev/null; done"
        f" | grep '{wanted}' || true"
    )
    return _lines_on_nodes(lab, shell)


def frozen_pods(lab: Lab) -> list[str]:
    """List the cgroups of pods that are frozen on any node, of cgroup v1 and v2."""
    shell = (
        "cd /sys/fs/cgroup; { find freezer/kubelet* -name freezer.self_freezing -exec grep -l 1 {} +;"
        " find . -path './kubelet*' -name cgroup.freeze -exec grep -l 1 {} +; } 2>/dev/null || true"
    )
    return _lines_on_nodes(lab, shell)


def thaw_timers(lab: Lab) -> list[str]:
    """List the lab's timers on any node."""
    shell = "systemctl list-units --all --plain --no-legend 'caplab-*' || true"
    return _lines_on_nodes(lab, shell)


def _lines_on_nodes(lab: Lab, shell: str) -> list[str]:
    answers = {node: lab.engine.ask("exec", node, "sh", "-c", shell).out for node in WORKERS}
    return [f"{node}: {line}" for node, out in answers.items() for line in out.splitlines()]
