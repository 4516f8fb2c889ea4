"""A load on a cluster of the kind tests, from its start to what the checkers say of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from caplab_cluster.kind_cluster import ZONES
from chaoscaplab.probes.histories import fetch_history, fetch_scan
from chaoscaplab.probes.loads import Loads
from chaoscaplab.server import Server
from kind_lab import Lab

from caplab.check import Context, Finding, check_history
from caplab.model.history import Table, validate
from caplab.model.runs import FaultWindow

LONGEST_SECONDS = 120


@dataclass
class Measured:
    """What a load came to; the history and the findings are there once it has ended."""

    run_id: str
    history: Table | None = None
    findings: Mapping[str, Finding] = field(default_factory=dict)

    def figure(self, checker: str, name: str) -> Any:
        return self.findings[checker].figures[name]

    def outcomes(self, **where: str) -> dict[str, int]:
        """How many operations ended how, of those whose columns are as said; final scans are left out."""
        assert self.history is not None
        rows = [row for row in self.history.to_pylist() if row["op"] != "scan"]
        chosen = [row for row in rows if all(row[name] == value for name, value in where.items())]
        words = [f"{row['outcome']} {row['error'] or ''}".strip() for row in chosen]
        return {word: words.count(word) for word in sorted(set(words))}


@contextmanager
def load(lab: Lab, kind: str, namespace: str, name: str, rate: float = 60.0, **probe: Any) -> Iterator[Measured]:
    """Unique writes of every zone on a cluster while the block runs; afterwards they are scanned and checked."""
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    server = Server()
    measured = Measured(f"test-{uuid.uuid4().hex[:8]}")
    loads = Loads(server, namespace, {"kind": kind, "name": name}, measured.run_id, ZONES, 0)
    probes = [{"name": "set", "workload": "set", "rate": rate, "seconds": LONGEST_SECONDS, **probe}]
    loads.start(probes)
    yield measured
    loads.end(probes)
    loads.scan("set-scan", ZONES[0])
    measured.history = validate(fetch_history(server, measured.run_id, ZONES))
    scan = fetch_scan(server, measured.run_id, ZONES[0], "")
    windows: tuple[FaultWindow, ...] = ()
    found = check_history(measured.history, Context(windows, scan, None))
    measured.findings = {finding.property: finding for finding in found}
