"""A CassandraCluster as the kind tests ask it, and what its members hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kind_lab import Lab
from measured_load import Measured

KIND = "CassandraCluster"
# How many replicas must be alive for a level, of three copies in one data centre.
NEEDED = {
    "ANY": 1,
    "ONE": 1,
    "LOCAL_ONE": 1,
    "TWO": 2,
    "QUORUM": 2,
    "LOCAL_QUORUM": 2,
    "EACH_QUORUM": 2,
    "SERIAL": 2,
    "LOCAL_SERIAL": 2,
    "THREE": 3,
    "ALL": 3,
}
WRITES_ONLY = {"ANY", "EACH_QUORUM"}


def manage(lab: Lab, namespace: str, pod: str, method: str, path: str) -> dict[str, Any]:
    """What a member's management port answers."""
    answer = lab.inside(namespace, pod, "lab-cassandra", method, path)
    assert answer.ok, answer.out + answer.err
    found: dict[str, Any] = json.loads(answer.out)
    return found


def state(lab: Lab, namespace: str, pod: str) -> dict[str, Any]:
    return manage(lab, namespace, pod, "GET", "/state")


def states(status: Mapping[str, Any]) -> dict[str, str]:
    """Each member's state as its peers see it."""
    return {member["name"]: member["state"] for member in status.get("members", [])}


def held(measured: Measured) -> dict[str, set[int]]:
    """The values that the last scan found, by the member whose own copy was read."""
    assert measured.history is not None
    rows = [row for row in measured.history.to_pylist() if (row["op"], row["route"]) == ("scan", "direct")]
    last = {row["server"]: row["invoke_ns"] for row in rows}  # a history is sorted by it
    return {
        server: {row["value"] for row in rows if (row["server"], row["invoke_ns"]) == (server, at)}
        for server, at in last.items()
    }


def adds(measured: Measured) -> list[dict[str, Any]]:
    """The writes that were acked."""
    assert measured.history is not None
    return [row for row in measured.history.to_pylist() if (row["op"], row["outcome"]) == ("add", "ok")]
