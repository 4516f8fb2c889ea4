"""The faults and loads on the real cluster, seen from outside: objects, gates, journals."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from caplab_cluster.kind_cluster import WORKERS

from support.kind.kind_lab import Lab

ENDED = ("Healed", "Failed")
_POD = "'pod[0-9a-f][0-9a-f_-]\\{30,\\}'"
# By the agent's own nft: that of the nodes crashes on tables which a newer one has made.
_EACH_NETWORK = (
    "agent=$(pgrep -of '[m] caplab_agent') || echo not known, there is no agent;"
    " for net in $(stat -Lc '%i %n' /proc/[0-9]*/ns/net | sort -u -k1,1 | cut -d' ' -f2); do"
    " pod=$(grep -om1 {pod} ${{net%ns/net}}cgroup);"
    " nsenter --net=$net --mount=/proc/$agent/ns/mnt nft list {what} | grep '{wanted}' | sed \"s/^/$pod /\"; done"
)
# What faults leave on a node while they are live, and the shell that lists it, a line for each.
_LEFT = {
    "gate": "ls -d /var/lib/kubelet/pods/*/volumes/*empty-dir/gate/closed-*",
    "journal": "cd /var/lib/caplab && tr -d '\\n' < faults.json && echo",
    "rules": _EACH_NETWORK.format(pod=_POD, what="tables", wanted="caplab_"),
    "cut": _EACH_NETWORK.format(pod=_POD, what="ruleset", wanted="elements = { [0-9.]* timeout"),
    "frozen": (
        "cd /sys/fs/cgroup; find freezer/kubelet* -name freezer.self_freezing -exec grep -l 1 {} +;"
        " find kubelet* -name cgroup.freeze -exec grep -l 1 {} +"
    ),
    "timer": "systemctl list-units --all --plain --no-legend 'caplab-*'",
}


def gate_files(lab: Lab, namespace: str = "") -> list[str]:
    """List the gates that are closed on any node, or those of a namespace's pods only."""
    return _left_on_nodes(lab, namespace, "gate")


def left_by_faults(lab: Lab, namespace: str = "") -> list[str]:
    """List all that live faults have on any node, and ended ones must not."""
    return _left_on_nodes(lab, namespace, "gate", "journal", "rules", "frozen", "timer")


def held_by_faults(lab: Lab, namespace: str = "") -> list[str]:
    """List what is closed, frozen or cut: rules whose addresses have run out by themselves cut nothing."""
    return _left_on_nodes(lab, namespace, "gate", "frozen", "cut")


def _left_on_nodes(lab: Lab, namespace: str, *kinds: str) -> list[str]:
    """List these kinds of things with one command a node, on all nodes at once: 'node: kind what'.

    With a namespace all but what names a pod of another one: what is left of a pod that is gone counts too.
    """
    shell = "; ".join(f"{{ {_LEFT[kind]}; }} 2>/dev/null | sed 's/^/{kind} /'" for kind in kinds)

    def on_node(node: str) -> list[str]:
        lines = lab.engine.must("exec", node, "sh", "-c", shell).splitlines()
        return [f"{node}: {line}" for line in chain.from_iterable(map(_entries, lines))]

    before = _pods_elsewhere(lab, namespace)
    with ThreadPoolExecutor(len(WORKERS)) as pool:
        lines = list(chain.from_iterable(pool.map(on_node, WORKERS)))
    elsewhere = before | _pods_elsewhere(lab, namespace)
    return [line for line in lines if not any(uid in line.replace("_", "-") for uid in elsewhere)]


def _entries(line: str) -> list[str]:
    """Return the line, or one for each entry if it is a journal."""
    kind, _, content = line.partition(" ")
    return [line] if kind != "journal" else [f"{kind} {json.dumps(entry)}" for entry in json.loads(content)["entries"]]


def _pods_elsewhere(lab: Lab, namespace: str) -> set[str]:
    """Return the uids of all pods outside a namespace; none where no namespace is named."""
    pods = lab.get("pods", "-A")["items"] if namespace else []
    return {pod["metadata"]["uid"] for pod in pods if pod["metadata"]["namespace"] != namespace}


def live_faults(lab: Lab, namespace: str = "") -> list[str]:
    """List the faults in any namespace, or in one, that have not ended."""
    faults: list[dict[str, Any]] = lab.get("faults", *(["-n", namespace] if namespace else ["-A"]))["items"]
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
