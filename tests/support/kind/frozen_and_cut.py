"""A member of a cluster is frozen, and then cut off from clients: what it acked before, under and after each."""

from __future__ import annotations

import time
from typing import Any

from support.kind.cluster_object import ClusterObject
from support.kind.fault_objects import await_phase, fault_on
from support.kind.measured_load import load


def assert_acks_nothing_until_heal(cluster: ClusterObject, role: str, **probe: Any) -> None:
    """Freeze and cut a member with this role under a load, and check its acks before and under it, and all after."""
    lab, kind, namespace, name = cluster.lab, cluster.kind, cluster.namespace, cluster.name
    hit: list[dict[str, Any]] = []
    with load(lab, kind, namespace, name, rate=20, routes=["direct", "service"], **probe) as measured:
        for what, how in {"freeze": {}, "partition": {"from": "clients"}}.items():
            cluster.await_ready(3)
            time.sleep(3)  # of quiet, for the load to show it
            lab.apply(
                fault_on(namespace, f"{name}-{what}", {"kind": kind, "name": name, "role": role}, 4, **{what: how})
            )
            status = await_phase(lab, namespace, f"{name}-{what}", "Healed", within_seconds=20)
            hit += [entry for entry in status["targets"] if entry["end"] == "target"]
            lab.kubectl("delete", "fault", "-n", namespace, f"{name}-{what}")
        cluster.await_ready(3)
        time.sleep(3)
    assert all(entry["proven"] for entry in hit), hit
    assert measured.history is not None
    rows = [row for row in measured.history.to_pylist() if (row["op"], row["outcome"]) == ("add", "ok")]
    counted = [_acks(rows, entry["pod"], entry["injectedNs"], entry["healedNs"]) for entry in hit]
    print(f"\nacks of the member before and under freeze and cut, and of all after: {counted}")
    for before, under, after in counted:
        assert before > 0
        assert under == 0
        assert after > 0


def _acks(rows: list[dict[str, Any]], pod: str, injected_ns: int, healed_ns: int) -> tuple[int, int, int]:
    own = [row["return_ns"] for row in rows if row["server"] == pod]
    return (
        sum(injected_ns - 3e9 < ns < injected_ns for ns in own),
        # What was on its way when the fault came may still arrive; and a heal is stamped when it is done.
        sum(injected_ns + 0.1e9 < ns < healed_ns - 0.1e9 for ns in own),
        sum(healed_ns < row["return_ns"] < healed_ns + 10e9 for row in rows),
    )
