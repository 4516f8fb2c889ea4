"""A load on a cluster of the kind tests, from its start to its findings."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from caplab_cluster.kind_cluster import ZONES
from chaoscaplab.clusters.engines import engine_for_kind, scan_routes
from chaoscaplab.probes.histories import fetch_history, fetch_scan
from chaoscaplab.probes.loads import Loads
from chaoscaplab.server import Server

from caplab.check import Context, Finding, check_history
from caplab.model.history import Table, validate
from caplab.model.runs import FaultWindow
from caplab.run_context import current_run
from support.kind.kind_lab import Lab

LONGEST_SECONDS = 240
SECOND_NS = 1_000_000_000
_SHOWN_OPERATIONS = 20


@dataclass
class Measured:
    """A measured load; it has its history and findings once it has ended."""

    loads: Loads
    history: Table | None = None
    findings: Mapping[str, Finding] = field(default_factory=dict)

    def scan(self, name: str = "final") -> None:
        """Read what every member holds, and check the whole history by it."""
        server, run_id, target = self.loads.server, self.loads.run_id, self.loads.target
        cluster = server.get(target["kind"], self.loads.namespace, target["name"])
        assert cluster, "there is no cluster any more that could be read"
        self.loads.scan(
            "set-scan", ZONES[0], scan_routes(engine_for_kind(current_run(), target["kind"]), cluster["spec"]), name
        )
        self.history = validate(fetch_history(server, self.loads.namespace, run_id, ZONES))
        windows: tuple[FaultWindow, ...] = ()
        findings = check_history(
            self.history,
            Context(
                fault_windows=windows,
                final_scan=fetch_scan(server, self.loads.namespace, run_id, ZONES[0], ""),
                settled_ns=None,
            ),
        )
        self.findings = {finding.property: finding for finding in findings}

    def figure(self, checker: str, name: str) -> Any:
        return self.findings[checker].figures[name]

    def assert_nothing_lost(self) -> None:
        """Assert that each of many acked writes is there once, and nothing else is."""
        for name in ("lost", "unexpected", "duplicated"):
            assert self.figure("durability", name) == 0, self.findings["durability"].reason
        assert self.figure("durability", "acked") > 100

    def outcomes(self, **where: str) -> dict[str, int]:
        """Count the outcomes of the operations with these columns; final scans are left out."""
        words = [_outcome(row) for row in self._operations(where)]
        return {word: words.count(word) for word in sorted(set(words))}

    def assert_all_acked(self, **where: str) -> None:
        """Assert that each operation with these columns was acked; the message shows when and where others were not.

        A zone's operations count from its first that was acked: a Service may lead for a moment more to where the test
        before left it, and the load is there to measure what follows.
        """
        outcomes, rows = self.outcomes(**where), self._operations(where)
        first_ns: dict[tuple[str, str], int] = {}
        for row in sorted(rows, key=lambda row: row["scheduled_ns"]):
            if row["outcome"] == "ok":
                first_ns.setdefault((row["vantage"], row["route"]), row["scheduled_ns"])
        counted = [row for row in rows if row["scheduled_ns"] >= first_ns.get((row["vantage"], row["route"]), 0)]
        not_acked = [_line(row) for row in counted if row["outcome"] != "ok"]
        assert "ok" in outcomes, outcomes
        assert not not_acked, "\n".join([str(outcomes), *not_acked[:_SHOWN_OPERATIONS]])

    def _operations(self, where: Mapping[str, str]) -> list[dict[str, Any]]:
        assert self.history is not None
        began_ns = min(self.history["scheduled_ns"].to_pylist())
        return [
            {**row, "after_seconds": (row["scheduled_ns"] - began_ns) / SECOND_NS}
            for row in self.history.to_pylist()
            if row["op"] != "scan" and all(row[name] == value for name, value in where.items())
        ]


def _outcome(row: Mapping[str, Any]) -> str:
    return f"{row['outcome']} {row['error'] or ''}".strip()


def _line(row: Mapping[str, Any]) -> str:
    took = "never" if row["return_ns"] is None else f"{(row['return_ns'] - row['invoke_ns']) / SECOND_NS:.3f} s"
    late_seconds = (row["invoke_ns"] - row["scheduled_ns"]) / SECOND_NS
    return (
        f"{row['after_seconds']:.3f} s after the first: {row['vantage']}, session {row['session']}, {row['op']} by "
        f"{row['route']} at {row['server']}: {_outcome(row)}, began {late_seconds:.3f} s late, answered after {took}"
    )


@contextmanager
def load(lab: Lab, kind: str, namespace: str, name: str, rate: float = 60.0, **probe: Any) -> Iterator[Measured]:
    """Write unique values from every zone while the block runs; then scan and check them."""
    loads = loads_on(lab, kind, namespace, name, ZONES)
    probes = [{"name": "set", "workload": "set", "rate": rate, "seconds": LONGEST_SECONDS, **probe}]
    measured = Measured(loads)
    loads.start(probes)
    yield measured
    loads.end(probes)
    measured.scan()


def record(
    lab: Lab,
    kind: str,
    namespace: str,
    name: str,
    probes: Sequence[Mapping[str, Any]],
    seconds: float,
    vantages: Sequence[str],
) -> Table:
    """Record the history of several loads at once, for so long."""
    loads = loads_on(lab, kind, namespace, name, vantages)
    loads.start([{"seconds": LONGEST_SECONDS, **probe} for probe in probes])
    time.sleep(seconds)
    loads.end([{"seconds": LONGEST_SECONDS, **probe} for probe in probes])
    return validate(fetch_history(loads.server, loads.namespace, loads.run_id, vantages))


def loads_on(lab: Lab, kind: str, namespace: str, name: str, vantages: Sequence[str]) -> Loads:
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    run_id = f"test-{uuid.uuid4().hex[:8]}"
    return Loads(
        server=Server(current_run()),
        namespace=namespace,
        target={"kind": kind, "name": name},
        run_id=run_id,
        vantages=vantages,
        seed=0,
    )
