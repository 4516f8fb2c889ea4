"""A CassandraCluster as the kind tests query it, and the data of its members."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from caplab_cluster.chart import NAMESPACE as LAB_NAMESPACE

from support.kind.kind_lab import Lab
from support.kind.measured_load import Measured

KIND = "CassandraCluster"
# The replicas that must be alive for a level, of three copies in one data centre.
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
_CQL = """
import os, sys
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster
from cassandra.policies import WhiteListRoundRobinPolicy
address, login, statement = sys.argv[1:]
only = WhiteListRoundRobinPolicy([address])
cluster = Cluster([address], auth_provider=PlainTextAuthProvider("caplab", login), load_balancing_policy=only)
try:
    print(list(cluster.connect().execute(statement, timeout=20)))
except Exception as error:
    print(type(error).__name__, error)
sys.stdout.flush()
os._exit(0)
"""


def manage(lab: Lab, namespace: str, pod: str, method: str, path: str) -> dict[str, Any]:
    """Ask a member's management port."""
    answer = lab.inside(namespace, pod, "lab-cassandra", method, path)
    assert answer.ok, answer.out + answer.err
    state: dict[str, Any] = json.loads(answer.out)
    return state


def state(lab: Lab, namespace: str, pod: str) -> dict[str, Any]:
    return manage(lab, namespace, pod, "GET", "/state")


def states(status: Mapping[str, Any]) -> dict[str, str]:
    """Return each member's state as its peers see it."""
    return {member["name"]: member["state"] for member in status.get("members", [])}


def held(measured: Measured) -> dict[str, set[int]]:
    """Return the values that the last scan found, by the member whose own copy was read."""
    assert measured.history is not None
    rows = [row for row in measured.history.to_pylist() if (row["op"], row["route"]) == ("scan", "direct")]
    last = {row["server"]: row["invoke_ns"] for row in rows}  # a history is sorted by it
    return {
        server: {row["value"] for row in rows if (row["server"], row["invoke_ns"]) == (server, at)}
        for server, at in last.items()
    }


def adds(measured: Measured) -> list[dict[str, Any]]:
    """Return the writes that were acked."""
    assert measured.history is not None
    return [row for row in measured.history.to_pylist() if (row["op"], row["outcome"]) == ("add", "ok")]


def password(lab: Lab, namespace: str) -> str:
    """Return the password with which clients log in."""
    encoded = lab.get("secret", "cs-application", "-n", namespace)["data"]["password"]
    return base64.b64decode(encoded).decode()


def cql(lab: Lab, namespace: str, pod: str, statement: str, login: str) -> str:
    """Ask one member from a client in a prober. Returns rows, or the error's kind and words."""
    address = lab.get("pod", pod, "-n", namespace)["status"]["podIP"]
    probers = lab.get("pods", "-n", LAB_NAMESPACE, "-l", "app.kubernetes.io/name=caplab-prober")["items"]
    answer = lab.inside(LAB_NAMESPACE, probers[0]["metadata"]["name"], "python3", "-c", _CQL, address, login, statement)
    return answer.out.strip() or answer.err.strip()
