"""Cassandra under test: its settings in force, and whether every member has all that was written."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from caplab.contract.engines import CASSANDRA
from caplab.kube.client import Body
from caplab.kube.errors import ExecFailed
from caplab.model.fields import Json
from caplab.model.runs import FirstCommit
from caplab.model.sizes import size_bytes

from ..server import Server
from . import cluster_status

ENGINE = CASSANDRA
READY_SECONDS = 480.0  # members join one by one: each takes a JVM's start and the ring's delay, on a busy machine
# Each member's own copy first, then all together, which decides: a read at ALL first would repair the copies.
SCAN_ROUTES: Sequence[str] = ("direct", "service")
_PLAIN = ("ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM")
_SERIAL = ("SERIAL", "LOCAL_SERIAL")  # for writes: lightweight transactions
LEVELS: Mapping[str, Sequence[str]] = {
    "read": (*_PLAIN, *_SERIAL),
    "write": ("ANY", *_PLAIN, "EACH_QUORUM", *_SERIAL),
}
_RUNNING = "running"


def ask(server: Server, namespace: str, pod: str, method: str, path: str) -> dict[str, Any]:
    """Ask a member's management interface. Raises ExecFailed if it refuses, or if its answer is not a JSON object."""
    output = server.execute(namespace, pod, "lab-cassandra", method, path)
    try:
        answer = json.loads(output)
    except ValueError as error:
        raise ExecFailed(f"lab-cassandra in {pod}: {output.strip()[:200]!r} is not JSON") from error
    if not isinstance(answer, dict):
        raise ExecFailed(f"lab-cassandra in {pod}: {output.strip()[:200]!r} is not an object")
    return answer


def settings_in_force(server: Server, namespace: str, body: Body) -> dict[str, Json]:
    """Read the settings that every member reports: each coordinates requests, and so the settings of each count."""
    pods = [member["name"] for member in body["status"]["members"]]
    return cluster_status.agreed(cluster_status.ask_each(pods, lambda pod: _member_settings(server, namespace, pod)))


def _member_settings(server: Server, namespace: str, pod: str) -> dict[str, Json]:
    state = ask(server, namespace, pod, "GET", "/state")
    if problem := not_running(pod, state):
        raise ExecFailed(problem)
    settings: dict[str, Json] = state["settings"]
    return {**settings, "replicas": len(state["live"]), "serverVersion": state["version"]}


def not_running(pod: str, state: Mapping[str, Any]) -> str:
    """Return why a member cannot be asked for more than its stage; '' if it can: pure."""
    if state.get("stage") == _RUNNING and "settings" in state and "live" in state:
        return ""
    problem = state.get("problem")
    return f"{pod} is {state.get('stage', 'in an unknown stage')}{f': {problem}' if problem else ''}"


def differences(spec: Mapping[str, Any], in_force: Mapping[str, Json]) -> list[str]:
    """Return a sentence for each setting of a cluster's spec that is not in force: pure."""
    by_name = ("replicas", "replicationFactor", "phiConvictThreshold", "commitlogSync", "paxosVariant")
    hints = spec["hintedHandoff"]
    requested = {
        **{name: spec[name] for name in by_name},
        **spec["timeouts"],
        "hintedHandoffEnabled": hints["enabled"],
        "hintWindowSeconds": hints["windowSeconds"],
        "hintsFlushPeriodMilliseconds": hints["flushPeriodMilliseconds"],
        "ringDelayMilliseconds": spec["gossip"]["ringDelayMilliseconds"],
        "heapBytes": size_bytes(spec["heap"]),
    }
    if spec["commitlogSync"] != "batch":  # batch has no period: every write waits for its sync
        requested["commitlogSyncPeriodMilliseconds"] = spec["commitlogSyncPeriodMilliseconds"]
    return cluster_status.differing(requested, in_force)


def not_ready(body: Body) -> str:
    """Return how a Ready cluster falls short of its spec, by its own status; '' if it does not: pure."""
    status = body["status"]
    if status.get("rollout"):
        return f"its members are changing: {status['rollout']}"
    not_up = [
        f"{member['name']} is {member.get('state') or 'unknown'}" for member in status["members"] if not _is_up(member)
    ]
    return f"to their peers, {', '.join(not_up)}" if not_up else ""


def _is_up(member: Mapping[str, Any]) -> bool:
    return member.get("state") == "UN" and not member.get("seenDownBy")


def not_caught_up(server: Server, namespace: str, body: Body) -> str:
    """Return which members miss a peer, or keep hints for one; '' if each has all that was written for it."""
    members = body["status"].get("members") or ()
    pods = sorted(str(member["name"]) for member in members)
    if not pods:
        return "there are no members"
    states = cluster_status.ask_each(pods, lambda pod: _state(server, namespace, pod))
    if problems := [problem for pod in pods if (problem := not_whole(pod, states[pod], len(pods)))]:
        return "; ".join(problems)
    if apart := apart_in_schema(states):
        return apart
    # Hints come last: those in buffers are not among the hints on disk, and a flush takes a moment.
    names = {str(member.get("hostId")): str(member["name"]) for member in members}
    kept = cluster_status.ask_each(pods, lambda pod: _hints(server, namespace, pod, names))
    return "; ".join(filter(None, kept.values()))


def _state(server: Server, namespace: str, pod: str) -> dict[str, Any]:
    """Ask a member for its state; the stage of a member that does not answer yet is 'silent'."""
    try:
        return ask(server, namespace, pod, "GET", "/state")
    except ExecFailed as error:
        return {"stage": "silent", "problem": str(error)}


def not_whole(pod: str, state: Mapping[str, Any], members: int) -> str:
    """Return how the ring that a member sees falls short of this number of members, all up; '' if it does not: pure."""
    if problem := not_running(pod, state):
        return problem
    if not state.get("native"):
        return f"{pod} does not serve clients"
    for which in ("joining", "leaving"):
        if state.get(which):
            return f"{pod} sees {', '.join(state[which])} {which}"
    if len(state["live"]) == members:
        return ""  # anything unreachable beside them is a former member, or a member's former address
    away = f", and {', '.join(state['unreachable'])} unreachable" if state.get("unreachable") else ""
    return f"{pod} sees {len(state['live'])} of {members} members{away}"


def apart_in_schema(states: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how members disagree about the schema; '' if all have the same: pure."""
    versions: Collection[str] = {schema for state in states.values() for schema in state.get("schemas", {}).values()}
    return "" if len(versions) == 1 else f"the members have {len(versions)} schema versions"


def _hints(server: Server, namespace: str, pod: str, names: Mapping[str, str]) -> str:
    try:
        return hints_left(pod, ask(server, namespace, pod, "POST", "/hints/flush"), names)
    except ExecFailed as error:
        return str(error)


def hints_left(pod: str, answer: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return which hints a member still keeps, by its answer to a flush; '' if none. names: by host id. Pure."""
    if "hints" not in answer:
        return f"{pod} does not report its hints"
    left = [f"{size} B for {names.get(host, host)}" for host, size in sorted(answer["hints"].items())]
    return f"{pod} still has hints: {', '.join(left)}" if left else ""


def switch_over(server: Server, namespace: str, body: Body) -> None:
    """Do nothing: there is no primary."""


def first_commit(server: Server, namespace: str, body: Body, before: str, run_id: str) -> FirstCommit | None:
    """Return None: there are no epochs."""
    return None
