"""Redis under test: its settings in force, whether its replicas have caught up, its own time stamps."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.engines import REDIS
from caplab.kube.client import Body
from caplab.kube.errors import ExecFailed
from caplab.model.fields import Json
from caplab.model.keys import key_prefix
from caplab.model.runs import FirstCommit
from caplab.model.sizes import size_bytes

from ..server import Server
from . import cluster_status

ENGINE = REDIS
READY_SECONDS = 180.0  # a new cluster with a cold image takes longest
SCAN_ROUTES: Sequence[str] = ("direct",)  # each member for itself: the primary's copy decides
LEVELS: Mapping[str, Sequence[str]] = {"write": tuple(f"wait-{replicas}" for replicas in range(1, 9))}
_PRIMARY = "caplab"  # as Sentinels name it
_LAB_FILE = "/etc/caplab/lab.env"  # a member's start script reads it at each start
_APPEND_ONLY = ("appendonly", "appendfsync", "save")
# The fields of the cluster's spec, and their names in redis.conf.
_NUMBERS: Mapping[str, str] = {
    "minReplicasToWrite": "min-replicas-to-write",
    "minReplicasMaxLagSeconds": "min-replicas-max-lag",
    "maxMemoryBytes": "maxmemory",
}
_EVICTION = "maxmemory-policy"


def ask(server: Server, namespace: str, pod: str, *command: str) -> list[str]:
    """Ask the Redis or the Sentinel of a pod, as its operator user. Returns lines. Raises ExecFailed if it refuses."""
    # Without -e an error of the server is printed like any answer, with exit code 0.
    return server.execute(namespace, pod, "lab-redis-cli", "-e", *command).splitlines()


def settings_in_force(server: Server, namespace: str, body: Body) -> dict[str, Json]:
    """Read the settings that every member and every Sentinel reports: any of them may be the next to decide."""
    members, sentinels = ([pod["name"] for pod in body["status"][part]] for part in ("members", "sentinels"))
    of_members = cluster_status.ask_each(members, lambda pod: _member_settings(server, namespace, pod))
    of_sentinels = cluster_status.ask_each(sentinels, lambda pod: _sentinel_settings(server, namespace, pod))
    fast_path = cluster_status.fast_path(server, namespace, meta.name_of(body))
    return {**cluster_status.agreed(of_members), **cluster_status.agreed(of_sentinels), **fast_path}


def _member_settings(server: Server, namespace: str, pod: str) -> dict[str, Json]:
    config = pairs(ask(server, namespace, pod, "CONFIG", "GET", *_APPEND_ONLY, *_NUMBERS.values(), _EVICTION))
    environment = variables(server.execute(namespace, pod, "cat", _LAB_FILE))
    return {
        "persistence": persistence(config),
        **{ours: int(config[theirs]) for ours, theirs in _NUMBERS.items()},
        "evictionPolicy": config[_EVICTION],
        "restartedPrimary": environment.get("RESTARTED_PRIMARY"),
        "serverVersion": information(ask(server, namespace, pod, "INFO", "server"))["redis_version"],
    }


def _sentinel_settings(server: Server, namespace: str, pod: str) -> dict[str, Json]:
    watched = pairs(ask(server, namespace, pod, "SENTINEL", "MASTER", _PRIMARY))
    return {
        "downAfterMilliseconds": int(watched["down-after-milliseconds"]),
        "failoverTimeoutMilliseconds": int(watched["failover-timeout"]),
        "quorum": int(watched["quorum"]),
        # A Sentinel that is gone but not forgotten counts towards the majority too.
        "sentinels": 1 + int(watched["num-other-sentinels"]),
    }


def persistence(config: Mapping[str, str]) -> str:
    """Return the spec's word for what a member keeps on its disk; 'other' if the spec has no word for it: pure."""
    if config["save"]:  # snapshots: no word of the spec promises them
        return "other"
    if config["appendonly"] != "yes":
        return "none"
    return config["appendfsync"] if config["appendfsync"] in ("everysec", "always") else "other"


def differences(spec: Mapping[str, Any], in_force: Mapping[str, Json]) -> list[str]:
    """Return a sentence for each setting of a cluster's spec that is not in force: pure."""
    by_name = ("persistence", "minReplicasToWrite", "minReplicasMaxLagSeconds", "evictionPolicy", "sentinels")
    requested = {
        **{name: spec[name] for name in by_name},
        **spec["failover"],
        "maxMemoryBytes": size_bytes(spec["maxMemory"]),
        "quorum": spec["sentinels"] // 2 + 1,
    }
    return cluster_status.differing(requested, in_force)


def not_ready(body: Body) -> str:
    """Return how a Ready cluster falls short of its spec, by its own status; '' if it does not: pure."""
    status, spec = body["status"], body["spec"]
    if status.get("readySentinels") != spec["sentinels"]:
        return f"{status.get('readySentinels', 0)} of {spec['sentinels']} Sentinels are ready"
    if status.get("persistence") != spec["persistence"]:
        return f"its persistence is {status.get('persistence')}, not yet {spec['persistence']}"
    return f"its members are being restarted: {status['rollout']}" if status.get("rollout") else ""


def not_caught_up(server: Server, namespace: str, body: Body) -> str:
    """Return which replicas lack something that the primary has written by now; '' if none does."""
    primary = body["status"].get("primary")
    if primary is None:
        return "there is no primary"
    try:
        reached = information(ask(server, namespace, primary, "INFO", "replication"))
    except ExecFailed as error:
        return str(error)
    if reached["role"] != "master":
        return f"{primary} is not the primary any more"
    behind = cluster_status.ask_each(
        cluster_status.replicas(body), lambda pod: _behind(server, namespace, pod, reached)
    )
    return "; ".join(filter(None, behind.values()))


def _behind(server: Server, namespace: str, pod: str, reached: Mapping[str, str]) -> str:
    try:
        return short_of(pod, information(ask(server, namespace, pod, "INFO", "replication")), reached)
    except ExecFailed as error:  # a starting member does not answer yet
        return str(error)


def short_of(pod: str, replica: Mapping[str, str], primary: Mapping[str, str]) -> str:
    """Return how a replica falls short of its primary, by earlier INFO replication; '' if it does not: pure."""
    if replica.get("master_link_status") != "up":
        return f"{pod} has no link to the primary"
    if replica["master_replid"] != primary["master_replid"]:
        return f"{pod} follows {replica['master_replid']:.8}, not {primary['master_replid']:.8}"
    offset = primary["master_repl_offset"]
    return "" if int(replica["slave_repl_offset"]) >= int(offset) else f"{pod} is behind {offset}"


def switch_over(server: Server, namespace: str, body: Body) -> None:
    """Have the primary hand over; without the fast path, have a Sentinel fail over from it as if it were down."""
    if cluster_status.fast_path(server, namespace, meta.name_of(body))["fastPath"]:
        server.switch_over(namespace, body["status"]["primary"])
        return
    sentinel = body["status"]["sentinels"][0]["name"]
    ask(server, namespace, sentinel, "SENTINEL", "FAILOVER", _PRIMARY)


def first_commit(server: Server, namespace: str, body: Body, before: str, run_id: str) -> FirstCommit | None:
    """Find the first beat under another replication id, by the server's own stamp; None if there is none.

    That id need not be the present one: a restarted primary takes another with its first replica.
    """
    key = f"caplab/{key_prefix(run_id)}clock"
    return first_beat(ask(server, namespace, body["status"]["primary"], "LRANGE", key, "0", "-1"), before)


def first_beat(beats: Iterable[str], before: str) -> FirstCommit | None:
    """Find the first beat of another id than `before`. A beat is replication id, value and time in µs. Pure."""
    for beat in beats:
        under, _, unix_us = beat.split(" ")
        if under != before:
            return FirstCommit(under, int(unix_us) * 1000)
    return None


def pairs(lines: Sequence[str]) -> dict[str, str]:
    """Parse a map as redis-cli prints it, names and values by turns: pure."""
    return dict(zip(lines[::2], lines[1::2], strict=True))


def number(lines: Sequence[str]) -> int:
    """Parse an integer as redis-cli prints it: pure."""
    return int(lines[0].rpartition(" ")[2])


def information(lines: Iterable[str]) -> dict[str, str]:
    """Parse the fields of INFO: pure."""
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}


def variables(text: str) -> dict[str, str]:
    """Parse the assignments of a file that a shell sources: pure."""
    return {name: value for name, _, value in (word.partition("=") for word in shlex.split(text, comments=True))}
