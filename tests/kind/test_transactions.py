"""Transactions on a real Postgres: what each level of isolation forbids is not there, and what it allows is."""

from __future__ import annotations

import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from caplab_probes.history.recovery import recovered
from support.kind.kind_lab import Lab, wait_until
from support.kind.postgres_cluster import await_status, is_ready, postgres
from support.kind.probe_objects import all_are, fetch, probe

from caplab.check import Context, check_history
from caplab.model.history import validate

pytestmark = pytest.mark.beside

VANTAGES = ["a", "b", "c"]
LEVELS = ("read-committed", "repeatable-read", "serializable")
FORBIDDEN = {
    "read-committed": ("g0", "g1a", "g1b", "g1c", "incompatible_orders"),
    "repeatable-read": ("g0", "g1a", "g1b", "g1c", "incompatible_orders", "lost_updates", "g_single", "long_fork"),
    "serializable": ("g0", "g1a", "g1b", "g1c", "incompatible_orders", "lost_updates", "g_single", "g2_item"),
}
MUST_SHOW = {"read-committed": "lost_updates", "repeatable-read": "g2_item"}


def isolation_of(lab: Lab, namespace: str, run: str, folder: Path) -> dict[str, Any]:
    """The figures of the checker isolation for the transactions of all vantages."""
    parts = [recovered(fetch(lab, namespace, run, vantage, folder)) for vantage in VANTAGES]
    (finding,) = check_history(validate(pa.concat_tables(parts)), Context(), ["isolation"])
    return {**finding.figures, "reason": finding.reason}


@pytest.fixture(scope="module")
def demo(lab: Lab, shared_namespace: str) -> str:
    """The namespace of a Postgres cluster that is Ready."""
    lab.apply(postgres(shared_namespace, durability="quorum"))
    await_status(lab, shared_namespace, "three members Ready", is_ready(3))
    return shared_namespace


def test_a_level_of_isolation_is_what_transactions_get(lab: Lab, demo: str, tmp_path: Path) -> None:
    runs = {level: f"txn-{level}-{uuid.uuid4().hex[:8]}" for level in LEVELS}
    load = {"routes": ["service"], "rate": 60, "seconds": 8, "transactions": {"skewShare": 40}}
    for level, run in runs.items():  # one after the other: they share the machine
        lab.apply(probe(demo, level, run, "txn", VANTAGES, levels={"read": level, "write": level}, **load))
        wait_until(f"{level} has ended", partial(all_are, lab, demo, level, "Done", 3), 90)
    for level, run in runs.items():
        figures = isolation_of(lab, demo, run, tmp_path / level)
        assert figures["transactions"] > 200, figures
        assert {name: figures[name] for name in FORBIDDEN[level]} == dict.fromkeys(FORBIDDEN[level], 0), figures
        if level in MUST_SHOW:
            print(f"{level}: {figures[MUST_SHOW[level]]} {MUST_SHOW[level]} in {figures['transactions']} transactions")
            assert figures[MUST_SHOW[level]] > 0, figures


def test_transactions_that_only_read_are_served_by_replicas_on_their_route(lab: Lab, demo: str, tmp_path: Path) -> None:
    run = f"txn-replica-{uuid.uuid4().hex[:8]}"
    levels = {"read": "repeatable-read", "write": "serializable"}
    lab.apply(probe(demo, "load", run, "txn", ["a"], routes=["replica"], levels=levels, rate=40, seconds=4))
    wait_until("the load has ended", lambda: all_are(lab, demo, "load", "Done", 1), 60)
    rows = validate(recovered(fetch(lab, demo, run, "a", tmp_path))).to_pylist()
    done = [row for row in rows if row["outcome"] == "ok"]
    reading = [row for row in done if all(micro["op"] == "read" for micro in row["txn"])]
    assert {row["level"] for row in reading} == {"repeatable-read"}
    # The first ones may reach the primary, whose role is not known yet.
    assert sum(row["epoch"] is None for row in reading) > 0.9 * len(reading) > 0
    assert {row["epoch"] is None for row in done if row not in reading} == {False}
