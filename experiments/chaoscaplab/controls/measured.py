"""One measured run: what happens before the experiment's own steps, and after them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from caplab.contract.engines import POSTGRES
from caplab.judging import expectations
from caplab.kube.client import Body
from caplab.model.budgets import evaluate, names
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.model.runs import CONTROL, Baseline, FaultWindow, FirstCommit, RunRecord, WallAnchor
from caplab.run_context import RunContext
from caplab.run_lease import LeaseNotHeld, RunLease

from ..clusters.cleanup import remove_other_clusters
from ..clusters.engines import engine_named, scan_routes
from ..clusters.provision import Cluster
from ..faults import nodes
from ..probes.histories import (
    ProberUsage,
    cores,
    event_loop_stalls,
    fetch_clock,
    fetch_history,
    fetch_scan,
    prober_usage,
)
from ..probes.loads import Loads, clock_run
from ..probes.scans import scans_of
from ..server import Server
from ..waiting import NotInTime, wait_until
from .baseline import baseline_of
from .fault_windows import lasted_seconds, monotonic_or_none, windows_in
from .leftovers import refuse_foreign_activity, remove_leftovers
from .marks import ClusterObservation, MarkTracker
from .plan import Plan
from .report import RunObject
from .sides import cut_off, sides_of, zones_of
from .versions import lab_images, versions_of

_CONVERGE_SECONDS = 60.0
FAULT_SECONDS = "faultSeconds"  # how budgets name the fault's requested or actual duration
# Both routes: straight to the members, it takes up to three beats to reach the new primary.
_CLOCK: Mapping[str, Any] = {
    "name": "clock",
    "workload": "clock",
    "rate": 30,
    "routes": ["service", "direct"],
    "seconds": 900,
}
_log = logging.getLogger("caplab.run")


class Stages:
    """The times of a run's stages. seconds: by stage, in the order of their beginning."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; the times of a repeated stage add up."""
        _log.info("%s ...", name)
        started = time.monotonic()
        try:
            yield
        finally:
            self.add(name, time.monotonic() - started)

    def add(self, name: str, seconds: float) -> None:
        """Add a time that was measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


class MeasuredRun:
    """One run, from a cluster that may not exist yet to a record and a history."""

    def __init__(self, run: RunContext, server: Server, plan: Plan, experiment: str, run_object: RunObject) -> None:
        self.context = run
        self.run_object = run_object
        self.stages = Stages()
        self._server, self._plan, self._experiment = server, plan, experiment
        self._engine = plan.cluster_engine
        self._cluster = Cluster(
            server=server, engine=self._engine, namespace=plan.namespace, name=plan.cluster, spec=plan.spec
        )
        self._store = _store(server, plan)
        store = _target(self._store) if self._store else None
        self._loads = Loads(
            server=server,
            namespace=plan.namespace,
            target=_target(self._cluster),
            run_id=run.run_id,
            vantages=plan.vantages,
            seed=plan.seed,
            store=store,
        )
        # Beats are commits too: only a run with a failover needs them.
        fails_over = self._engine.ENGINE.has_primary and plan.fault != CONTROL and not plan.store
        self._probes = [*plan.loads, *([_CLOCK] if fails_over else [])]
        self._lease = RunLease(server, plan.namespace, run.run_id)
        self._loaded = False
        self.mark_tracker = MarkTracker(marks=plan.marks, look=lambda: ClusterObservation.of(self._cluster))
        self._body: Body = {}
        self._settings: dict[str, Json] = {}
        self._epoch: Json = None  # before the fault
        self._usage_before: dict[str, ProberUsage] = {}

    def begin(self) -> None:
        """Bring the cluster to Ready at its settings, remove what earlier runs left, and start the loads."""
        with self.stages.stage("cluster"):
            self._server.open_namespace(self._plan.namespace)
            self._lease.acquire()
            self.context.state.lease_problem = self._lease.problem
            for cluster in self._clusters():
                cluster.refuse_foreign()
            refuse_foreign_activity(self._server, self._plan.namespace)
            remove_leftovers(self._server, self._plan.namespace)
            remove_other_clusters(self._server, self._plan.namespace, self._needed())
            self._body, self._settings = self._cluster.provision()
            if self._store is not None:
                _, of_store = self._store.provision()
                self._settings = {**of_store, **self._settings}
        self.context.state.budget_seconds = self._budget_seconds()
        with self.stages.stage("load"):
            self.run_object.begun()
            self._loaded = True
            self._loads.start(self._probes)
            self._usage_before = self._prober_usages()
            # Not earlier: right after members were recreated, the status may be one pass behind.
            self._epoch = self._cluster.body()["status"].get("epoch")

    def release(self) -> None:
        """End the loads, and leave the namespace to the next run. Safe to repeat; raises nothing."""
        self.end_loads()
        self._lease.release()

    def end_loads(self) -> None:
        """End the loads. Safe to repeat; raises nothing, because loads end by themselves in time."""
        if not self._loaded:
            return
        self._loaded = False
        try:
            self._loads.end(self._probes)
        except Exception as error:
            _log.warning("the end of the loads could not be confirmed: %s", error)

    def finish(self, journal: Mapping[str, Any]) -> tuple[RunRecord, Table]:
        """End the loads, make the final scans and fetch the histories. Returns the run's record and history.

        A failed scan costs only what is judged by it, not the run: the record says why. Raises LeaseNotHeld if another
        run has begun in the namespace.
        """
        self._require_lease()
        for event in self.mark_tracker.events():
            self.context.state.note_event(event)
        with self.stages.stage("end of load"):
            usage_after = self._prober_usages()
            self._loaded = False
            self._loads.end(self._probes)
        with self.stages.stage("final scan"):
            unconverged = self._converge()
            scanner, scans = self._plan.vantages[0], scans_of(self._plan.loads)
            failed = self._loads.scan_all(scans, scanner, self._scan_routes())
        with self.stages.stage("histories"):
            namespace = self._plan.namespace
            history = fetch_history(self._server, namespace, self.context.run_id, self._plan.vantages)
            boot_id, anchor = fetch_clock(self._server, namespace, self.context.run_id, scanner)
            scan = fetch_scan(self._server, namespace, self.context.run_id, scanner, unconverged, scans, failed)
        record = RunRecord(
            experiment=self._experiment,
            engine=self._plan.engine,
            mode=self._plan.mode,
            fault=self._plan.fault,
            settings={**self._settings, **self._own_settings()},
            seed=self._plan.seed,
            fault_windows=self._windows(boot_id, anchor),
            boot_id=boot_id,
            wall_anchor=anchor,
            versions=versions_of(self._engine.ENGINE.name, self._settings, self._server),
            has_primary=self._engine.ENGINE.has_primary,
            baseline=self._baseline(journal, boot_id),
            final_scan=scan,
            settled_ns=monotonic_or_none(self.context.state.settled_unix_ns, anchor),
            steady_ns=monotonic_or_none(self.context.state.steady_unix_ns, anchor),
            sides=self._sides(),
            first_commit=self._first_commit(),
            prober_cores=cores(self._usage_before, usage_after),
            prober_standstills=event_loop_stalls(self._usage_before, usage_after),
            images=self._images(),
            specs={"cluster": self._body["spec"], "loads": list(self._plan.loads)},
        )
        return record, history

    def _scan_routes(self) -> list[str]:
        """Return the routes on which acked writes must be found in the end: those of the database, not of a cache."""
        if self._store is not None:
            return scan_routes(self._store.engine, self._store.spec)
        return scan_routes(self._engine, self._body["spec"])

    def _windows(self, boot_id: str, anchor: WallAnchor) -> tuple[FaultWindow, ...]:
        nodes.refresh_lost_nodes(self.context)
        return windows_in(self.context.state, boot_id, anchor)

    def _sides(self) -> dict[str, tuple[str, ...]]:
        cut_off_nodes = cut_off(self.context.state)
        return sides_of(cut_off_nodes, zones_of(self._server.nodes()), self._plan.vantages) if cut_off_nodes else {}

    def _prober_usages(self) -> dict[str, ProberUsage]:
        return {vantage: prober_usage(self._server, vantage) for vantage in self._plan.vantages}

    def _own_settings(self) -> dict[str, Json]:
        """Return what a budget may name beside the cluster's settings."""
        seconds = lasted_seconds(self.context.state)
        fault: dict[str, Json] = {} if seconds is None else {FAULT_SECONDS: seconds}
        load: dict[str, Json] = {
            "writesPerSecond": self._plan.writes_per_second,
            "vantages": len(self._plan.vantages),
        }
        return load | fault | settings_of_cache(self._plan)

    def _budget_seconds(self) -> float | None:
        """Return the row's budget for the failover, at the settings in force; None if it depends on faultSeconds."""
        row = expectations().find(self._plan.engine, self._plan.mode, self._plan.fault)
        budget = next((expected.budget for expected in row.properties if expected.property == "failoverTime"), None)
        if budget is None or FAULT_SECONDS in names(budget):
            return None
        return evaluate(budget, {**self._settings, **self._own_settings()})

    def _needed(self) -> set[tuple[str, str]]:
        return {(cluster.kind, cluster.name) for cluster in self._clusters()}

    def _clusters(self) -> list[Cluster]:
        return [self._cluster, *([self._store] if self._store else [])]

    def _require_lease(self) -> None:
        """Raise LeaseNotHeld if another run has begun in the namespace meanwhile: it assumed this one dead."""
        if problem := self._lease.problem():
            raise LeaseNotHeld(f"The run was not alone: {problem}. Hint: repeat it; was this machine asleep?")

    def _converge(self) -> str:
        """Wait until every member has all that was written. Returns why one does not, or ''."""
        try:
            wait_until("all members have caught up", (self._store or self._cluster).not_steady, _CONVERGE_SECONDS)
        except NotInTime as late:
            return str(late)
        return ""

    def _baseline(self, journal: Mapping[str, Any], boot_id: str) -> Baseline:
        """Return the journal's baseline, with a problem if faults and histories were stamped by different clocks."""
        baseline = baseline_of(journal)
        of_another_clock = [
            str(target.pod)
            for fault in self.context.state.faults.values()
            for target in fault.targets
            if target.boot_id not in (None, boot_id)
        ]
        if not of_another_clock:
            return baseline
        return Baseline(
            False, f"{baseline.problem} faults of {', '.join(of_another_clock)} were stamped by another clock".strip()
        )

    def _first_commit(self) -> FirstCommit | None:
        """Read the second clock, if there is a new epoch and beats were requested."""
        if _CLOCK not in self._probes:
            return None
        body = self._cluster.body()
        epoch = (body.get("status") or {}).get("epoch")
        if epoch in (None, self._epoch):
            return None
        clock = clock_run(self.context.run_id)
        return self._engine.first_commit(self._server, self._plan.namespace, body, str(self._epoch), clock)

    def _images(self) -> dict[str, str]:
        members = self._cluster.members()
        of_members = {
            container["name"]: container["image"] for pod in members for container in pod["spec"]["containers"]
        }
        return {**lab_images(self._server), **of_members}


def _store(server: Server, plan: Plan) -> Cluster | None:
    """Return the database behind a cache; None if the run has no cache."""
    store = plan.store
    return (
        Cluster(
            server=server,
            engine=engine_named(POSTGRES.name),
            namespace=plan.namespace,
            name=store.name,
            spec=store.spec,
        )
        if store
        else None
    )


def settings_of_cache(plan: Plan) -> dict[str, Json]:
    """Return the settings of a cache's readers, and their reads per second; empty if there is no cache."""
    for load in plan.loads:
        if "cache" in load:
            settings = {f"cache{name[0].upper()}{name[1:]}": value for name, value in load["cache"].items()}
            return {**settings, "cacheReadsPerSecond": load["rate"] * len(plan.vantages)}
    return {}


def _target(cluster: Cluster) -> dict[str, str]:
    return {"kind": cluster.kind, "name": cluster.name}
