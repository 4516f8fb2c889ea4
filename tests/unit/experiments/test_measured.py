"""The end of a run, with nothing behind it: what the record has of scans, sides and events."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chaoscaplab.controls import measured, versions
from chaoscaplab.controls.measured import MeasuredRun
from chaoscaplab.controls.plan import Plan
from chaoscaplab.faults import nodes
from chaoscaplab.probes.histories import ProberUsage
from support.checkers.histories import adds, table
from support.runs.held_runs import begin_run, switchover
from support.runs.run_faults import entry, fault, lost_node

from caplab.model.runs import FinalScan, RunRecord, WallAnchor
from caplab.run_context import current_run
from caplab.run_lease import LeaseNotHeld

JOURNAL = {"status": "completed", "steady_states": {"before": {"steady_state_met": True}}, "run": []}
WORKLOADS = ("set", "register", "register-multi")
NODES = [
    {"metadata": {"name": f"caplab-worker{number}", "labels": {"topology.kubernetes.io/zone": zone}}}
    for number, zone in (("", "a"), ("2", "b"), ("3", "c"))
]


class Scanned:
    """Loads that end at once; the scan of registers fails."""

    asked: tuple[Any, ...] = ()

    def end(self, probes: Any) -> None:
        pass

    def scan_all(self, workloads: Any, vantage: str, routes: Any) -> dict[str, str]:
        self.asked = workloads, vantage, routes
        return {"register-scan": "pg-0: timed out"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> MeasuredRun:
    loads = [{"name": name, "workload": name, "rate": 30.0} for name in WORKLOADS]
    plan = Plan(
        namespace="ns",
        cluster="pg",
        spec={"replicas": 3},
        loads=loads,
        vantages=("a", "b", "c"),
        engine="postgres",
        mode="quorum",
        fault="partition",
        seed=0,
    )
    nothing: Any = None
    made = MeasuredRun(begin_run("PostgresCluster", "r-1", "ns"), nothing, plan, "title", nothing)
    made._body = {"spec": {"replicas": 3}}
    faked: Any = made
    faked._lease = SimpleNamespace(problem=lambda: "")
    faked._server, faked._loads = SimpleNamespace(nodes=lambda: NODES), Scanned()
    faked._cluster = SimpleNamespace(not_steady=lambda: "", body=lambda: {}, members=lambda: [])
    monkeypatch.setattr(measured, "prober_usage", lambda server, vantage: ProberUsage(1.0, 1.0))
    monkeypatch.setattr(measured, "cores", lambda before, after: {})
    monkeypatch.setattr(measured, "fetch_history", lambda server, namespace, run_id, vantages: table(adds([1])))
    monkeypatch.setattr(measured, "fetch_clock", lambda *_: ("boot", WallAnchor(500, 10**18)))
    monkeypatch.setattr(measured, "fetch_scan", fetch_scan)
    monkeypatch.setattr(nodes, "refresh_lost_nodes", lambda _: None)
    return made


def fetch_scan(
    server: Any, namespace: str, run_id: str, vantage: str, unconverged: str, scans: Any, failed: Any
) -> FinalScan:
    keyed = {scan: FinalScan(converged=True, elements=None, problem=failed.get(scan, "")) for scan in scans[1:]}
    return FinalScan(converged=True, elements=1, server="pg-0", problem=unconverged, keyed=keyed)


def ended(run: MeasuredRun) -> RunRecord:
    record, _ = run.finish(JOURNAL)
    return record


def test_a_scan_of_registers_that_fails_is_in_the_record_and_the_run_is_kept(run: MeasuredRun) -> None:
    record = ended(run)
    loads: Any = run._loads
    assert loads.asked == (("set-scan", "register-scan"), "a", ["direct"])
    assert record.final_scan is not None
    assert record.final_scan.elements == 1
    assert record.final_scan.keyed["register-scan"].problem == "pg-0: timed out"


def test_a_group_cut_and_a_lost_node_give_the_record_its_sides(run: MeasuredRun) -> None:
    current_run().state.note_fault(fault(entry(node="caplab-worker2"), what={"partition": {"from": "group"}}))
    assert ended(run).sides == {"minority": ("b",), "majority": ("a", "c")}
    current_run().state.note_lost_node(lost_node(node="caplab-worker3"))
    assert ended(run).sides == {"minority": ("b", "c"), "majority": ("a",)}


def test_without_a_cut_there_are_no_sides_and_a_server_that_says_nothing_costs_no_run(run: MeasuredRun) -> None:
    run._server = None  # type: ignore[assignment]  # whoever asks it fails
    current_run().state.note_fault(fault(entry()))
    assert ended(run).sides == {}


def test_an_event_is_a_window_of_the_record_and_how_long_it_took_is_a_setting(run: MeasuredRun) -> None:
    current_run().state.note_event(switchover("pg", 3 * 10**9))
    record = ended(run)
    (window,) = record.fault_windows
    assert (window.kind, window.injected_ns, window.healed_ns) == ("switchover", 500, 3_000_000_500)
    assert record.settings == {"writesPerSecond": 90, "vantages": 3, "faultSeconds": 3.0}


def test_a_run_that_lost_its_namespace_to_another_one_is_not_judged(run: MeasuredRun) -> None:
    faked: Any = run
    faked._lease = SimpleNamespace(problem=lambda: "the namespace ns is now held by r-2")
    with pytest.raises(LeaseNotHeld, match="The run was not alone: the namespace ns is now held by r-2"):
        run.finish(JOURNAL)


def test_the_record_says_by_what_it_was_made(run: MeasuredRun) -> None:
    faked: Any = run
    info = {"kubeletVersion": "v1.34.0", "containerRuntimeVersion": "containerd://2.1", "kernelVersion": "6.1"}
    node = {**NODES[0], "status": {"nodeInfo": info}}
    prober = {"spec": {"containers": [{"name": "prober", "image": "p@sha256:1"}]}}
    faked._server = SimpleNamespace(nodes=lambda: [node, node], pods=lambda namespace, selector: [prober, prober])
    record = ended(run)
    assert record.images == {"prober": "p@sha256:1"}
    assert (record.versions["kubernetes"], record.versions["kernel"]) == ("v1.34.0", "6.1")
    assert record.versions["container-runtime"] == "containerd://2.1"
    assert len(record.versions["caplab-sources"]) == 12


def test_a_server_that_says_nothing_leaves_versions_and_images_out(run: MeasuredRun) -> None:
    record = ended(run)  # its nodes have no status, and it knows no pods
    assert record.images == {}
    assert "kubernetes" not in record.versions
    assert {"caplab", "chaostoolkit", "python", "caplab-sources"} <= record.versions.keys()


def test_a_digest_of_sources_changes_with_a_module_its_name_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    before = versions.sources(tmp_path)
    versions.sources.cache_clear()
    (tmp_path / "notes.txt").write_text("no module")
    assert versions.sources(tmp_path) == before
    versions.sources.cache_clear()
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert versions.sources(tmp_path) != before
