"""The probers on a real Postgres, where only a real one will do: a synchronous wait that somebody cancels."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from caplab_probes.history.recovery import recovered
from support.kind.kind_lab import Lab, wait_until
from support.kind.postgres_cluster import await_status, is_ready, postgres, sql
from support.kind.probe_objects import all_are, fetch, probe

from caplab.model.history import validate

pytestmark = pytest.mark.beside


def scan_at_the_end(lab: Lab, namespace: str, run: str) -> None:
    """Every member's elements, into the run's history."""
    lab.apply(probe(namespace, "scan", run, "set-scan", ["a"], routes=["direct"]))
    wait_until("the final scan is done", lambda: all_are(lab, namespace, "scan", "Done", 1), 60)


# The brackets keep the pattern from finding the shell that looks for it.
FIND_WAL = "grep -alq '[w]alreceiver' $p/cmdline 2>/dev/null"
STOP_WAL = f"for p in /proc/[0-9]*; do {FIND_WAL} && kill -{{signal}} ${{{{p#/proc/}}}}; done; true"
CANCEL = (
    "select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep' and usename = 'caplab'"
)


def test_a_success_with_the_warning_of_a_cancelled_synchronous_wait_is_info(
    lab: Lab, namespace: str, tmp_path: Path
) -> None:
    """The write is there, but no standby has it: 'ok' would promise too much, 'fail' would be wrong."""
    lab.apply(postgres(namespace, durability="quorum"))
    pg_status = await_status(lab, namespace, "three members Ready", is_ready(3))
    run = f"cancelled-{uuid.uuid4().hex[:8]}"
    lab.apply(probe(namespace, "load", run, "set", ["a"], routes=["service"], seconds=12))
    wait_until("the load runs", lambda: all_are(lab, namespace, "load", "Running", 1, 50), 60)
    standbys = [member["name"] for member in pg_status["members"] if member["name"] != pg_status["primary"]]
    for standby in standbys:
        lab.inside(namespace, standby, "bash", "-c", STOP_WAL.format(signal="STOP"))
    cancelled = 0

    def some_were_cancelled() -> bool:
        nonlocal cancelled
        cancelled += int(sql(lab, namespace, pg_status["primary"], CANCEL))
        return cancelled >= 5

    wait_until("waits were cancelled", some_were_cancelled, 15)
    for standby in standbys:
        lab.inside(namespace, standby, "bash", "-c", STOP_WAL.format(signal="CONT"))
    wait_until("the load has ended", lambda: all_are(lab, namespace, "load", "Done", 1), 60)
    await_status(lab, namespace, "all members Ready again", is_ready(3))
    scan_at_the_end(lab, namespace, run)

    rows = validate(recovered(fetch(lab, namespace, run, "a", tmp_path / "after"))).to_pylist()
    there = {row["value"] for row in rows if row["op"] == "scan"}
    warned = [row for row in rows if row["op"] == "add" and (row["outcome"], row["error"]) == ("info", "no-quorum")]
    assert warned, "no client was told"
    assert all(row["return_ns"] is not None for row in warned)
    assert {row["value"] for row in warned} <= there
