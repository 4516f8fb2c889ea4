"""Loads on a cluster: create Probe objects, wait for them, and end them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from caplab.contract.names import PROBE
from caplab.contract.objects import Probe
from caplab.contract.phases import DONE, FAILED, RUNNING

from ..server import Server
from ..waiting import NotInTime, wait_until

_BEGIN_SECONDS = 60.0  # longest: three probers that create one schema in a new Cassandra
_END_SECONDS = 30.0
_SCAN_SECONDS = 90.0
SCAN = "final-scan"


class LoadFailed(Exception):
    """A prober could not do what its Probe requests; the message is the prober's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """The loads of one run: what all of its Probe objects share.

    store: the database behind a cache, if the run is on one; all loads go to it but those that read the cache.
    """

    server: Server
    namespace: str
    target: Mapping[str, str]  # kind and name
    run_id: str
    vantages: Sequence[str]
    seed: int
    store: Mapping[str, str] | None = None

    def start(self, probes: Sequence[Mapping[str, Any]]) -> None:
        """Begin every load, and wait until each runs at every vantage.

        A load with the workload clock does not count in the clients' figures: it has a history of its own.
        """
        for probe in probes:
            self._make(probe["name"], probe)
        for probe in probes:
            wait_until(
                f"load {probe['name']} runs", partial(self._not_in_phase, probe["name"], RUNNING), _BEGIN_SECONDS
            )

    def end(self, probes: Sequence[Mapping[str, Any]]) -> None:
        """End every load gracefully, and wait until its last row is written."""
        for probe in probes:
            self._make(probe["name"], {**probe, "stop": True})
        for probe in probes:
            wait_until(
                f"load {probe['name']} has ended", partial(self._not_in_phase, probe["name"], DONE), _END_SECONDS
            )

    def scan(self, workload: str, vantage: str, routes: Sequence[str], name: str = SCAN) -> None:
        """Have one prober read all data that exists now: of every member (direct), or of all together (service).

        If a run is scanned more than once, each scan needs a name.
        """
        self._make(name, _scan(name, workload, vantage, routes))
        self._await_scan(name)

    def scan_all(self, workloads: Sequence[str], vantage: str, routes: Sequence[str]) -> dict[str, str]:
        """Have one prober make several scans at once. Returns why a scan failed, by its workload.

        Each reads its own tables or keys, and none waits for another's connections.
        """
        for workload in workloads:
            self._make(_final(workload), _scan(_final(workload), workload, vantage, routes))
        failed = {}
        for workload in workloads:
            try:
                self._await_scan(_final(workload))
            except (LoadFailed, NotInTime) as error:
                failed[workload] = str(error)
        return failed

    def _await_scan(self, name: str) -> None:
        wait_until(f"{name} is done", lambda: self._not_in_phase(name, DONE, 1), _SCAN_SECONDS)

    def _make(self, name: str, probe: Mapping[str, Any]) -> None:
        clock, cached = probe["workload"] == "clock", "cache" in probe
        spec = {
            "target": dict(self.target if cached or self.store is None else self.store),
            "vantages": list(self.vantages),
            "seed": self.seed,
            "runId": clock_run(self.run_id) if clock else self.run_id,
            **{field: value for field, value in probe.items() if field != "name"},
        }
        if cached and self.store is not None:
            spec["cache"] = {**probe["cache"], "store": self.store["name"]}
        self.server.apply(PROBE, self.namespace, self._object(name), spec)

    def _object(self, name: str) -> str:
        """Return the object's name, which differs for each run: a Probe object runs once."""
        return f"{name}-{self.run_id.rpartition('-')[2]}"

    def _not_in_phase(self, name: str, phase: str, vantages: int | None = None) -> str:
        """Return how many vantages are not in a phase yet; '' if all are. Raises LoadFailed if one has failed."""
        body = self.server.get(PROBE, self.namespace, self._object(name))
        entries = Probe.from_body(body, self._object(name)).vantages if body else ()
        for entry in entries:
            if entry.phase == FAILED:
                raise LoadFailed(f"load {name} at vantage {entry.name}: {entry.last_error}")
        missing = (vantages or len(self.vantages)) - sum(entry.phase == phase for entry in entries)
        errors = "; ".join(entry.last_error for entry in entries if entry.last_error)
        return "" if missing <= 0 else f"{missing} vantages are not {phase}" + (f" ({errors})" if errors else "")


def _final(workload: str) -> str:
    return f"final-{workload}"


def _scan(name: str, workload: str, vantage: str, routes: Sequence[str]) -> dict[str, Any]:
    return {"name": name, "workload": workload, "rate": 1, "routes": list(routes), "vantages": [vantage]}


def clock_run(run_id: str) -> str:
    """Return the run id of the second clock's beats, which are kept apart from the run's own history."""
    return f"{run_id}-clock"
