"""Postgres under test: its settings in force, whether its members have caught up, its own time stamps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.engines import POSTGRES
from caplab.kube.client import Body
from caplab.kube.errors import ExecFailed
from caplab.model.fields import Json
from caplab.model.keys import run_number
from caplab.model.runs import FirstCommit

from ..server import Server
from . import cluster_status

ENGINE = POSTGRES
READY_SECONDS = 180.0  # a new cluster with a cold image takes longest
SCAN_ROUTES: Sequence[str] = ("direct",)  # each member for itself: the primary's copy decides
LEVELS: Mapping[str, Sequence[str]] = {}  # durability is the cluster's
# The fields of the cluster's spec, and their names in Patroni's configuration store.
_PATRONI: Mapping[str, str] = {
    "ttlSeconds": "ttl",
    "loopWaitSeconds": "loop_wait",
    "retryTimeoutSeconds": "retry_timeout",
    "primaryStartTimeoutSeconds": "primary_start_timeout",
    "maximumLagOnFailoverBytes": "maximum_lag_on_failover",
    "failsafeMode": "failsafe_mode",
}
_DURABILITY: Mapping[bool | str, str] = {False: "async", True: "sync", "quorum": "quorum"}
# Settings of the primary's own Postgres.
_SERVER_SETTINGS: Mapping[str, str] = {
    "synchronous_standby_names": "synchronousStandbyNames",
    "synchronous_commit": "synchronousCommit",
    "server_version": "serverVersion",
    "wal_sender_timeout": "walSenderTimeoutMilliseconds",
}


def sql(server: Server, namespace: str, member: str, statement: str) -> str:
    """Ask one member's own Postgres, as its superuser. Returns a line for each row, with fields separated by |."""
    command = ("psql", "-h", "/tmp", "-U", "postgres", "-d", "caplab", "-v", "ON_ERROR_STOP=1", "-AtXqc", statement)
    return server.execute(namespace, member, *command).strip()


def settings_in_force(server: Server, namespace: str, body: Body) -> dict[str, Json]:
    """Read the settings of the running cluster: from Patroni's store, and from the primary's own Postgres."""
    name, primary = meta.name_of(body), body["status"]["primary"]
    config = json.loads(server.annotations(namespace, f"{name}-primary-config").get("config", "{}"))
    settings: dict[str, Json] = {ours: config.get(theirs) for ours, theirs in _PATRONI.items()}
    settings |= cluster_status.fast_path(server, namespace, name)
    settings["fencing"] = body["spec"]["failover"]["fencing"]  # the operator has seen this spec: it is Ready by it
    settings["durability"] = _DURABILITY.get(config.get("synchronous_mode", False), "other")
    answer = sql(server, namespace, primary, "select name, setting from pg_settings where " + _one_of_settings())
    for line in answer.splitlines():
        setting, _, value = line.partition("|")
        settings[_SERVER_SETTINGS[setting]] = int(value) if value.isdecimal() else value
    return settings


def differences(spec: Mapping[str, Any], in_force: Mapping[str, Json]) -> list[str]:
    """Return a sentence for each setting of a cluster's spec that is not in force: pure."""
    requested = {**spec["failover"], "durability": spec["durability"]}
    wrong = cluster_status.differing(requested, in_force)
    standbys = str(in_force.get("synchronousStandbyNames") or "")
    fits = {"async": standbys == "", "quorum": standbys.startswith("ANY 1"), "sync": standbys not in ("", "*")}
    if not fits[spec["durability"]]:
        wrong.append(f"synchronous_standby_names is '{standbys}' under durability {spec['durability']}")
    return wrong


def not_ready(body: Body) -> str:
    """Return how a Ready cluster falls short of its spec, by its own status; '' if it does not: pure."""
    durability, requested = body["status"].get("durability"), body["spec"]["durability"]
    return "" if durability == requested else f"its durability is {durability}, not yet {requested}"


def not_caught_up(server: Server, namespace: str, body: Body) -> str:
    """Return which replicas have not replayed all that the primary has written by now; '' if all have."""
    primary = body["status"].get("primary")
    if primary is None:
        return "there is no primary"
    try:
        reached = sql(server, namespace, primary, "select pg_current_wal_lsn()")
    except ExecFailed as error:
        return str(error)
    behind = cluster_status.ask_each(
        cluster_status.replicas(body), lambda member: _behind(server, namespace, member, reached)
    )
    return "; ".join(filter(None, behind.values()))


def _behind(server: Server, namespace: str, member: str, reached: str) -> str:
    """Return how a replica falls short of a position in the log; '' if it does not."""
    question = f"select pg_is_in_recovery(), pg_last_wal_replay_lsn() >= '{reached}'::pg_lsn"
    try:
        answer = sql(server, namespace, member, question)
    except ExecFailed as error:  # a starting member has no socket yet
        return str(error)
    return "" if answer == "t|t" else f"{member} is behind {reached}"


def switch_over(server: Server, namespace: str, body: Body) -> None:
    """Have Patroni hand over to the replica that it prefers."""
    server.switch_over(namespace, body["status"]["primary"])


def first_commit(server: Server, namespace: str, body: Body, before: str, run_id: str) -> FirstCommit | None:
    """Find the first complete commit of the present timeline, by the server's own stamp; None if there is none."""
    primary, timeline = body["status"]["primary"], body["status"]["epoch"]
    answer = sql(
        server,
        namespace,
        primary,
        "select (extract(epoch from min(committed_at)) * 1000000)::bigint from caplab_clock"
        f" where run = {run_number(run_id)} and timeline = '{timeline:08X}'",
    )
    return FirstCommit(str(timeline), int(answer) * 1000) if answer else None


def _one_of_settings() -> str:
    return f"name in ({', '.join(repr(name) for name in _SERVER_SETTINGS)})"
