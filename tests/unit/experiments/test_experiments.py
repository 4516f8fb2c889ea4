"""The experiments' own pure parts: plans, baselines, windows, the steady state."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from caplab_cluster.paths import REPOSITORY
from chaoscaplab.clusters.engines import MODULES, engine_named
from chaoscaplab.controls.baseline import baseline_of
from chaoscaplab.controls.measured import settings_of_cache
from chaoscaplab.controls.plan import Plan, plan_of
from chaoscaplab.controls.report import by_vantage, figures_of
from chaoscaplab.faults.windows import problem_of, windows_of
from chaoscaplab.probes import probes
from chaoscaplab.probes.probes import Counts, counts_of, silent_series, unacknowledged
from chaoscaplab.probes.scans import final_scan, scans_of
from chaoslib.experiment import ensure_experiment_is_valid
from support.runs.experiment_files import loaded
from support.runs.held_runs import begin_run

from caplab.check.finding import Finding, State
from caplab.contract.engines import BY_NAME, ENGINES
from caplab.contract.objects import Fault
from caplab.judging import expectations, experiments_folder
from caplab.kube.errors import Refused, reason_of
from caplab.model.budgets import evaluate, names
from caplab.model.fields import FieldError, Json
from caplab.model.runs import CACHE
from caplab.run import suites
from caplab.run.command import exit_code
from caplab.run.toolkit import could_not_begin
from caplab.run_context import release

FOLDER = experiments_folder()
EXPERIMENTS = suites.experiments(FOLDER)
# All there are rows for.
MODES = [(run.experiment, dict(run.settings)) for run in suites.find(FOLDER, "full", {}).runs]


def configuration(experiment: dict[str, Any], **settings: str) -> dict[str, str]:
    return {name: value["default"] for name, value in experiment["configuration"].items()} | settings


def planned(name: str, **settings: str) -> Plan:
    return plan_of(loaded(name), configuration(loaded(name), **settings), {})


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_valid_for_chaos_toolkit(name: str) -> None:
    ensure_experiment_is_valid(loaded(name))


@pytest.mark.parametrize(("name", "settings"), MODES)
def test_every_experiment_has_a_row_for_all_its_settings(name: str, settings: dict[str, str]) -> None:
    plan = planned(name, **settings)
    assert expectations().find(plan.engine, plan.mode, plan.fault)
    assert f"{plan.engine}/{plan.fault}".startswith(
        name.replace("isolation-control", "control").replace("control", "none")
    )
    made, numbers = f"{plan.mode}-{plan.fault}", ("rate", "seconds", "max_lag_bytes")
    assert all(value in made for setting, value in settings.items() if setting not in numbers)
    # Of three vantages, and only what the final scan counts.
    sets = [load for load in plan.loads if load["workload"] == "set"]
    assert plan.loads[0]["rate"] == float(configuration(loaded(name), **settings)["rate"])
    assert plan.writes_per_second == 3 * sum(load["rate"] for load in sets)


@pytest.mark.parametrize(("name", "settings"), [mode for mode in MODES if mode[0].startswith(f"{CACHE}/")])
def test_what_a_budget_asks_of_a_cache_its_experiment_says(name: str, settings: dict[str, str]) -> None:
    plan = planned(name, **settings)
    asked = [
        names(expected.budget)
        for expected in expectations().find(plan.engine, plan.mode, plan.fault).properties
        if expected.budget
    ]
    for setting in {setting for of_demand in asked for setting in of_demand if setting.startswith("cache")}:
        assert evaluate(setting, settings_of_cache(plan)) > 0


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_as_it_is_has_a_row_and_speaks_of_its_own_cluster(name: str) -> None:
    plan = planned(name)
    assert expectations().find(plan.engine, plan.mode, plan.fault)
    steps = [*loaded(name)["steady-state-hypothesis"]["probes"], *loaded(name)["method"]]
    arguments = [step["provider"]["arguments"] for step in steps]
    behind = {plan.store.name} if plan.store else set()
    assert {argument["cluster"] for argument in arguments if "cluster" in argument} == {plan.cluster} | behind


def test_a_cache_has_a_store_and_nothing_else_has() -> None:
    experiment = loaded("cache/expire-hot-key")
    plan = plan_of(experiment, configuration(experiment, protection="lock"), {})
    assert (plan.cluster_engine.ENGINE.name, plan.cluster, plan.store and plan.store.name) == ("redis", "cache", "pg")
    assert plan.loads[0]["cache"] == {
        "protection": "lock",
        "keys": 20,
        "exponent": 4.0,
        "ttlMilliseconds": 10_000,
        "graceMilliseconds": 10_000,
        "loadMilliseconds": 50,
        "places": 20,
        "writeEvery": 1000,
    }
    del experiment["extensions"][0]["store"]
    with pytest.raises(FieldError, match="store"):
        plan_of(experiment, configuration(experiment), {})
    other = loaded("postgres/kill-primary")
    other["extensions"][0]["store"] = {"name": "pg", "spec": {}}
    with pytest.raises(FieldError, match="must be left out: only a row of cache has one"):
        plan_of(other, configuration(other), {})


def test_an_extension_that_misspells_a_field_is_refused_by_name() -> None:
    experiment = loaded("postgres/kill-primary")
    experiment["extensions"][0]["lods"] = []
    with pytest.raises(FieldError, match="lods"):
        plan_of(experiment, configuration(experiment), {})
    with pytest.raises(ValueError, match="0 extension blocks"):
        plan_of({}, {}, {})


def test_a_row_of_an_engine_that_there_is_not_is_refused() -> None:
    experiment = loaded("redis/control")
    experiment["extensions"][0]["row"]["engine"] = "valkey"
    with pytest.raises(FieldError, match=r"row: There is no engine 'valkey'. Hint: use one of postgres, redis"):
        plan_of(experiment, configuration(experiment), {})


def test_a_write_waits_for_as_many_replicas_as_the_setting_says() -> None:
    for wait, levels in (("0", None), ("1", {"write": "wait-1"}), ("8", {"write": "wait-8"})):
        assert [load.get("levels") for load in planned("redis/kill-primary", wait=wait).loads] == [levels] * 2
    assert all("levels" not in load for load in planned("postgres/control").loads)


@pytest.mark.parametrize(
    ("name", "levels", "says"),
    [
        (
            "redis/control",
            {"write": "wait-9"},
            "loads.0..levels: field 'write' must be one of wait-0, wait-1, .* wait-8",
        ),
        ("redis/control", {"write": "wait-"}, "for RedisCluster, found 'wait-'"),
        ("redis/control", {"read": "wait-1"}, "field 'read' must be one of wait-0 for RedisCluster"),
        ("redis/control", {"writes": "wait-1"}, "no such field 'writes'"),
        ("redis/control", {"write": 1}, "field 'write' must be a text"),
        ("postgres/control", {"write": "wait-1"}, "field 'write' must be one of wait-0 for PostgresCluster"),
        ("cassandra/control", {"write": "wait-1"}, "field 'write' must be one of wait-0, ANY, .* for CassandraCluster"),
        ("cassandra/control", {"read": "ANY"}, "field 'read' must be one of wait-0, ONE, .* found 'ANY'"),
        ("cassandra/control", {"read": "EACH_QUORUM"}, "field 'read' must be one of"),
        ("cassandra/control", {"write": "quorum"}, "found 'quorum'"),
    ],
)
def test_a_level_that_the_engine_does_not_have_is_refused(name: str, levels: dict[str, Any], says: str) -> None:
    experiment = loaded(name)
    experiment["extensions"][0]["loads"][0]["levels"] = levels
    with pytest.raises(FieldError, match=says):
        plan_of(experiment, configuration(experiment), {})


def test_cassandras_reads_and_writes_are_at_the_levels_that_its_settings_name() -> None:
    plan = planned("cassandra/kill-node", write="ALL", read="ONE")
    by_name = {load["name"]: load["levels"] for load in plan.loads}
    assert by_name == {"set": {"write": "ALL"}, "register": {"write": "ALL", "read": "ONE"}}
    assert plan.mode == "ALL-ONE"
    for op, levels in engine_named("cassandra").LEVELS.items():
        for level in levels:
            assert planned("cassandra/control", **{op: level}).loads[1]["levels"][op] == level


@pytest.mark.parametrize(
    ("client", "passed"),
    [
        (None, None),
        ({}, None),
        ({"clientTimestamps": None, "speculativeDelayMilliseconds": ""}, None),
        ({"clientTimestamps": False}, {"clientTimestamps": False}),
        ({"clientTimestamps": "false"}, {"clientTimestamps": False}),
        (
            {"clientTimestamps": "True", "speculativeDelayMilliseconds": "50"},
            {"clientTimestamps": True, "speculativeDelayMilliseconds": 50},
        ),
        ({"speculativeDelayMilliseconds": 7}, {"speculativeDelayMilliseconds": 7}),
        ({"readRouting": "lag-aware", "maxLagBytes": "0"}, {"readRouting": "lag-aware", "maxLagBytes": 0}),
        (
            {"readRouting": "causal", "replicaWaitMilliseconds": 5},
            {"readRouting": "causal", "replicaWaitMilliseconds": 5},
        ),
        (
            {"clockSkewMilliseconds": "-250", "skewedVantages": ["a", "c"]},
            {"clockSkewMilliseconds": -250, "skewedVantages": ["a", "c"]},
        ),
        ({"clockSkewMilliseconds": "0"}, {"clockSkewMilliseconds": 0}),
        ({"clockSkewMilliseconds": 3_600_000}, {"clockSkewMilliseconds": 3_600_000}),
        ({"timeoutMilliseconds": ""}, None),
        ({"timeoutMilliseconds": "120000"}, {"timeoutMilliseconds": 120_000}),
        ({"timeoutMilliseconds": 50}, {"timeoutMilliseconds": 50}),
    ],
)
def test_how_a_driver_is_set_goes_with_its_load_a_settings_text_too(client: Any, passed: Any) -> None:
    experiment = loaded("cassandra/control")
    experiment["extensions"][0]["loads"][0]["client"] = client
    assert plan_of(experiment, configuration(experiment), {}).loads[0].get("client") == passed


@pytest.mark.parametrize(
    ("client", "says"),
    [
        ({"clientTimestamps": "perhaps"}, "client: field 'clientTimestamps' must be true or false"),
        ({"speculativeDelayMilliseconds": 0}, "field 'speculativeDelayMilliseconds' must be a whole number of milli"),
        ({"speculativeDelayMilliseconds": "1.5"}, "field 'speculativeDelayMilliseconds'"),
        ({"speculativeDelayMilliseconds": True}, "field 'speculativeDelayMilliseconds'"),
        ({"maxLagBytes": -1}, "field 'maxLagBytes' must be a whole number of bytes"),
        ({"timestamps": True}, "no such field 'timestamps'"),
        *(
            (
                {"clockSkewMilliseconds": skew},
                "field 'clockSkewMilliseconds' must be a whole number of milliseconds, -3600000 to 3600000",
            )
            for skew in ("3600001", "-3600001", "1.5", "--5", "-", "5 s", True)
        ),
        ({"clockSkewMilliseconds": 5, "skewedVantages": "a"}, "field 'skewedVantages' must be a list"),
        *(
            (
                {"timeoutMilliseconds": timeout},
                "field 'timeoutMilliseconds' must be a whole number of milliseconds, 50 to 120000",
            )
            for timeout in ("49", "120001", "1.5", "-50", "40 s", True)
        ),
    ],
)
def test_a_driver_set_in_no_known_way_is_refused(client: Any, says: str) -> None:
    experiment = loaded("cassandra/control")
    experiment["extensions"][0]["loads"][0]["client"] = client
    with pytest.raises(FieldError, match=says):
        plan_of(experiment, configuration(experiment), {})


def test_a_load_may_read_replicas_by_a_routing_and_write_registers_of_all_vantages() -> None:
    experiment = loaded("postgres/control")
    experiment["extensions"][0]["loads"] = [
        {"name": "routed", "workload": "register", "rate": 40, "routes": ["replica"],
         "client": {"readRouting": "monotonic"}},
        {"name": "shared", "workload": "register-multi", "rate": "20", "routes": ["service", "direct"]},
    ]  # fmt: skip
    plan = plan_of(experiment, configuration(experiment), {})
    routed, shared = plan.loads
    assert (routed["routes"], routed["client"]) == (["replica"], {"readRouting": "monotonic"})
    assert (shared["workload"], shared["rate"]) == ("register-multi", 20.0)
    assert plan.writes_per_second == 0  # of sets only


@pytest.mark.parametrize("nothing", ["", "wait-0", None])
def test_no_level_is_none_for_every_engine(nothing: str | None) -> None:
    experiment = loaded("postgres/control")
    experiment["extensions"][0]["loads"][0]["levels"] = {"write": nothing}
    assert "levels" not in plan_of(experiment, configuration(experiment), {}).loads[0]


def test_named_clients_have_their_options_and_a_row_of_their_own() -> None:
    plain, hedged = planned("cassandra/kill-node"), planned("cassandra/kill-node", clients="hedged")
    assert (plain.mode, hedged.mode) == ("QUORUM-QUORUM", "QUORUM-QUORUM-hedged")
    assert [load.get("client") for load in plain.loads] == [None, None]
    options = {"speculativeDelayMilliseconds": 50, "speculativeRetryMilliseconds": 20}
    assert [load["client"] for load in hedged.loads] == [options, options]


def test_clients_that_there_are_not_are_refused_with_those_there_are() -> None:
    with pytest.raises(FieldError, match=r"field 'client' must be its options, or one of .*: plain, hedged, found 'x'"):
        planned("cassandra/kill-node", clients="x")
    experiment = loaded("cassandra/control")
    experiment["extensions"][0]["loads"][0]["client"] = "hedged"
    with pytest.raises(FieldError, match="clients: it has none, found 'hedged'"):
        plan_of(experiment, configuration(experiment), {})


def test_a_variant_of_the_cluster_is_its_spec_with_more() -> None:
    back, waits = (planned("redis/crash-primary", restarted=word).spec for word in ("ComeBack", "WaitForDecision"))
    assert back == {
        "replicas": 3,
        "persistence": "everysec",
        "failover": {"restartedPrimary": "ComeBack", "downAfterMilliseconds": 5000, "fastPath": False},
    }
    waiting = {"restartedPrimary": "WaitForDecision", "fastPath": False}
    assert waits == {"replicas": 3, "persistence": "everysec", "failover": waiting}


def test_a_variant_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        FieldError, match=r"'variant' must be one of ComeBack, WaitForDecision, WaitForDecision-fast, found 'waits'"
    ):
        planned("redis/crash-primary", restarted="waits")
    for half in ("variant", "variants"):
        experiment = loaded("redis/crash-primary")
        del experiment["extensions"][0]["cluster"][half]
        with pytest.raises(FieldError, match=f"field '{half}' is missing"):
            plan_of(experiment, configuration(experiment), {})


@pytest.mark.parametrize("name", suites.names(FOLDER / "suites"))
def test_every_suite_names_experiments_and_settings_that_there_are(name: str) -> None:
    for planned in suites.find(FOLDER, name, {}).runs:
        experiment = loaded(planned.experiment)
        assert set(planned.settings) <= set(experiment["configuration"])
        plan = plan_of(experiment, configuration(experiment, **planned.settings), {})
        assert expectations().find(plan.engine, plan.mode, plan.fault)


def test_the_suites_run_every_engine_there_is() -> None:
    engines = list(BY_NAME)
    smoke = suites.find(FOLDER, "smoke", {}).runs
    killed = {engine.name: "primary" if engine.has_primary else "node" for engine in ENGINES}
    assert [run.experiment for run in smoke] == [f"{engine}/kill-{killed[engine]}" for engine in engines]
    core = suites.find(FOLDER, "core", {}).runs
    assert len(core) <= 20
    assert {f"{engine}/control" for engine in engines} <= {run.experiment for run in core}


def test_every_engine_is_known_wherever_a_list_of_them_is_kept() -> None:
    folders = {name.partition("/")[0] for name in EXPERIMENTS}
    assert sorted(BY_NAME) == sorted(folders - {CACHE})
    assert [*MODULES] == [*ENGINES]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packaged = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {f"experiments/{folder}" for folder in folders} <= set(packaged)


def test_an_experiment_is_found_by_name_or_file_and_anything_else_is_refused(tmp_path: Path) -> None:
    by_name = suites.find(FOLDER, "postgres/control", {"durability": "async"})
    assert by_name.runs == suites.find(FOLDER, str(FOLDER / "postgres/control.yaml"), {"durability": "async"}).runs
    assert by_name.runs[0].name == "postgres/control durability=async"
    with pytest.raises(FieldError, match="postgres/kill-primary"):
        suites.find(FOLDER, "postgres/kil-primary", {})
    bad = tmp_path / "bad.yaml"
    bad.write_text("runs: [{experiment: postgres/nothing}]")
    with pytest.raises(FieldError, match="postgres/control"):
        suites.read_suite(FOLDER, bad)
    bad.write_text("runs: []")
    with pytest.raises(FieldError, match="empty"):
        suites.read_suite(FOLDER, bad)


def test_a_suite_may_name_others_but_not_itself(tmp_path: Path) -> None:
    whole = suites.find(FOLDER, "full", {}).runs
    parts = [run for part in ("postgres", "redis", "cassandra", "cache") for run in suites.find(FOLDER, part, {}).runs]
    assert list(whole) == parts
    (tmp_path / "suites").mkdir()
    for name, other in (("one", "two"), ("two", "one"), ("lost", "nowhere")):
        (tmp_path / "suites" / f"{name}.yaml").write_text(f"title: t\nruns: [{{suite: {other}}}]\n")
    with pytest.raises(FieldError, match=r"field 'suite' must be none of those that it is in \(one > two\)"):
        suites.find(tmp_path, "one", {})
    with pytest.raises(FieldError, match=r"field 'suite' must be one of lost, one, two"):
        suites.find(tmp_path, "lost", {})


def test_a_suites_settings_yield_to_the_command_lines() -> None:
    suite = suites.find(FOLDER, "core", {"durability": "async"})
    assert {run.settings["durability"] for run in suite.runs} == {"async"}


def fault(*targets: dict[str, Any], phase: str = "Active", message: str = "") -> Fault:
    status = {"phase": phase, "message": message, "targets": list(targets)}
    return Fault.from_body({"metadata": {"name": "f"}, "spec": {"target": {}, "kill": {}}, "status": status})


def test_a_target_that_was_hit_is_a_window_and_one_that_was_not_is_none() -> None:
    hit = {"uid": "u", "pod": "pg-0", "injectedNs": 5, "healedNs": 9, "proven": True, "evidence": ["cgroup empty"]}
    (window,) = windows_of(fault(hit, {"uid": "v", "pod": "pg-1"}))
    assert (window.kind, window.target, window.injected_ns, window.healed_ns) == ("kill", "pg-0", 5, 9)
    assert window.proven
    assert not windows_of(fault({**hit, "proven": False}))[0].proven
    assert windows_of(replace(fault(), status=None)) == []


def test_a_failed_fault_says_why() -> None:
    assert problem_of(fault({"uid": "u", "pod": "pg-0", "problem": "no process"}, phase="Failed")) == "pg-0: no process"
    assert problem_of(fault(phase="Failed", message="no primary")) == "no primary"
    assert problem_of(fault({"uid": "u", "pod": "pg-0"})) == ""


def journal(**fields: Any) -> dict[str, Any]:
    before = {"steady_state_met": True, "probes": []}
    return {"status": "completed", "steady_states": {"before": before}, "run": [], **fields}


def step(status: str = "succeeded", **fields: Any) -> dict[str, Any]:
    return {"activity": {"name": "kill-the-primary"}, "status": status, **fields}


def test_a_journal_in_order_is_a_baseline_that_held() -> None:
    assert baseline_of(journal(run=[step()])).held


def test_a_method_that_failed_an_interrupt_and_a_missed_baseline_are_doubts() -> None:
    raised = ["Traceback", "chaoslib.exceptions.ActivityFailed: The fault f failed: no process\n"]
    baseline = baseline_of(journal(run=[step("failed", exception=raised)]))
    assert (baseline.held, baseline.problem) == (False, "kill-the-primary: The fault f failed: no process")
    assert "interrupted" in baseline_of(journal(status="interrupted")).problem
    assert not baseline_of(journal(steady_states={})).held
    missed = {"steady_state_met": False, "probes": [step(tolerance_met=False, exception=None)]}
    assert "kill-the-primary" in baseline_of(journal(steady_states={"before": missed})).problem


METRICS = """# TYPE caplab_operations counter
caplab_operations_total{OWN,op="add",route="direct",workload="set",level="",outcome="ok"} 4
caplab_operations_total{OWN,op="add",route="direct",workload="set",level="wait-1",outcome="ok"} 6
caplab_operations_total{OWN,op="add",route="direct",workload="set",level="",outcome="info"} 1
caplab_operations_total{OWN,op="write",route="direct",workload="clock",level="",outcome="fail"} 9
""".replace("OWN", 'vantage="a",engine="redis",cluster_namespace="ours",cluster="rd"')
OK = 'level="wait-1",outcome="ok"} '


def counted(text: str) -> Counts:
    return counts_of(text, "ours")


def test_it_is_steady_when_everything_is_acknowledged_and_nothing_else_happens() -> None:
    before = counted(METRICS)
    assert before["add", "direct", "set", "rd", "ok"] == 10
    assert unacknowledged(before, before) == ""
    assert silent_series(before, before) == "add (direct)"
    later = counted(METRICS.replace(f"{OK}6", f"{OK}8"))
    assert silent_series(before, later) == ""
    failing = counted(METRICS.replace('outcome="info"} 1', 'outcome="info"} 3'))
    assert unacknowledged(before, failing) == "2 add (direct) ended as info"
    assert unacknowledged({}, before) == "1 add (direct) ended as info"
    assert silent_series({}, {}) == "any load"
    assert counted(METRICS.replace('route="direct"', 'route="any"')) == {}  # replicas refuse what goes there


def test_a_transaction_that_met_another_one_is_no_fault_and_one_of_unknown_outcome_is() -> None:
    def of(**outcomes: int) -> Counts:
        return {("txn", "service", "txn", "pg", outcome): count for outcome, count in outcomes.items()}

    assert unacknowledged(of(ok=1, fail=1), of(ok=9, fail=5)) == ""
    assert unacknowledged(of(ok=1), of(ok=9, info=2)) == "2 txn (service) ended as info"
    assert silent_series(of(ok=1, fail=1), of(ok=1, fail=5)) == "txn (service)"


def test_transactions_are_planned_with_the_level_and_the_settings_of_the_experiment() -> None:
    plan = planned("postgres/isolation-control", level="read-committed", route="replica")
    assert plan.mode == "read-committed-replica"
    assert plan.loads[0]["routes"] == ["replica"]
    assert plan.loads[0]["levels"] == {"read": "read-committed", "write": "read-committed"}
    assert plan.loads[0]["transactions"] == {
        "model": "list-append",
        "operations": 4,
        "keys": 2,
        "activeKeys": 4,
        "writesPerKey": 128,
        "readShare": 50,
        "skewShare": 30,
    }
    experiment = loaded("postgres/isolation-control")
    load = experiment["extensions"][0]["loads"][0]
    for settings, says in (
        ({"keys": "9"}, "field 'keys' must be a whole number of keys, 1 to 8"),
        ({"activeKeys": 0}, "field 'activeKeys' must be a whole number of keys, 1 to 1000"),
        ({"key": 1}, "no such field 'key'"),
    ):
        load["transactions"] = settings
        with pytest.raises(FieldError, match=says):
            plan_of(experiment, configuration(experiment), {})
    with pytest.raises(
        FieldError, match="must be one of wait-0, read-committed, repeatable-read, serializable for Post"
    ):
        planned("postgres/isolation-control", level="snapshot")


def test_the_steady_state_of_a_run_is_that_of_its_own_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: another run's load on the same prober, in a namespace of its own, whose writes all fail."""
    theirs = METRICS.replace('"ours"', '"theirs"').replace('workload="clock"', 'workload="register"')
    both = [METRICS + theirs, (METRICS + theirs).replace('outcome="fail"} 9', 'outcome="fail"} 99')]
    assert unacknowledged(*(counts_of(text, "theirs") for text in both)) == "90 write (direct) ended as fail"
    assert unacknowledged(*map(counted, both)) == ""

    monkeypatch.setattr(probes, "Server", lambda _: None)
    asked: list[str] = []

    def streak(_server: object, _vantage: str, namespace: str, seconds: float) -> Any:
        asked.append(namespace)
        return SimpleNamespace(problem=lambda: "", seconds=seconds)

    monkeypatch.setattr(probes, "_AckStreak", streak)
    begin_run("RedisCluster", "r-1", "ours")
    assert probes.acknowledged(["a", "b"], 1, configuration={"namespace": "theirs"})
    release()
    assert probes.acknowledged(["a"], 1, configuration={"namespace": "theirs"})
    assert asked == ["ours", "ours", "theirs"]


def note(server: str | None, elements: int | None, problem: str = "", **fields: Any) -> dict[str, Any]:
    """As a prober keeps one of each endpoint that it scanned."""
    plain = {"workload": "set-scan", "primary": False, "server": server, "elements": elements, "invoke_ns": 7}
    return {**plain, "problem": problem, **fields}


def test_the_primarys_scan_decides_and_without_it_there_is_none() -> None:
    notes = [note("pg-1", 8), note("pg-0", 9, primary=True, invoke_ns=11)]
    scan = final_scan(notes, "")
    assert (scan.converged, scan.elements, scan.server, scan.invoke_ns) == (True, 9, "pg-0", 11)
    assert final_scan(notes, "pg-1 behind").converged is False
    assert final_scan(notes[:1], "").elements is None
    assert scan.local == {"pg-1": 8}


def test_the_scan_of_all_members_together_decides_beside_each_ones_own() -> None:
    notes = [
        *(note(f"cs-{n}", 7 + n) for n in range(2)),
        note(None, None, "cs-2: timed out"),
        note("all", 9, primary=True),
    ]
    scan = final_scan(notes, "")
    assert (scan.server, scan.elements, dict(scan.local)) == ("all", 9, {"cs-0": 7, "cs-1": 8})
    assert scan.problem == "cs-2: timed out"


REGISTER = "register-scan"


def test_every_kind_of_keys_that_loads_leave_is_scanned() -> None:
    def needed(*workloads: str) -> tuple[str, ...]:
        return scans_of([{"workload": workload} for workload in workloads])

    assert needed("set") == ("set-scan",)
    assert needed("register", "set") == needed("set", "register-multi", "register") == ("set-scan", REGISTER)
    assert needed("counter", "register", "set") == ("set-scan", REGISTER, "counter-scan")
    # Without sets the record is of what there is; without anything that stays, an empty scan of sets says so.
    assert needed("register-multi") == needed("cas") == (REGISTER,)
    assert needed("counter") == ("counter-scan",)
    assert needed("ids") == needed() == ("set-scan",)
    for name in EXPERIMENTS:
        assert scans_of(planned(name).loads)[0] == "set-scan"


def test_the_scan_of_sets_is_the_record_whichever_came_last_and_that_of_registers_is_beside_it() -> None:
    notes = [
        note("pg-0", 48, primary=True, workload=REGISTER, invoke_ns=3),
        note("pg-1", 900),
        note("pg-0", 900, primary=True, invoke_ns=4),
        note("pg-1", 47, workload=REGISTER),
    ]
    scan = final_scan(notes, "", ("set-scan", REGISTER))
    assert (scan.elements, scan.invoke_ns, dict(scan.local)) == (900, 4, {"pg-1": 900})
    registers = scan.keyed[REGISTER]
    assert (registers.elements, registers.invoke_ns, dict(registers.local)) == (48, 3, {"pg-1": 47})
    alone = final_scan(notes, "", (REGISTER,))
    assert (alone.elements, dict(alone.keyed)) == (48, {})


def test_a_scan_of_registers_that_went_wrong_says_so_and_leaves_that_of_sets_alone() -> None:
    sets, both = note("pg-0", 900, primary=True), ("set-scan", REGISTER)
    failed = note(None, None, "pg-0: timed out", workload=REGISTER)
    registers = final_scan([sets, failed], "", both, {REGISTER: "final-register-scan: Failed"}).keyed[REGISTER]
    assert (registers.elements, registers.problem) == (None, "pg-0: timed out")
    # A Probe that was never done left no note.
    silent = final_scan([sets], "", both, {REGISTER: "Gave up after 90 s"}).keyed[REGISTER]
    assert (silent.elements, silent.problem) == (None, "Gave up after 90 s")
    behind = final_scan([sets, note("pg-0", 48, primary=True, workload=REGISTER)], "pg-1 is behind", both)
    assert not behind.converged
    assert not behind.keyed[REGISTER].converged
    whole = final_scan([sets, failed], "", both)
    assert (whole.converged, whole.elements, whole.problem) == (True, 900, "")


def test_figures_that_were_not_measured_are_missing() -> None:
    rows: list[Json] = [{"vantage": "a", "route": "direct", "acked": 5, "lost": 0}]
    series: list[Json] = [
        {"vantage": "a", "route": "direct", "op": "add", "failover_seconds": 1.0},
        {"vantage": "a", "route": "direct", "op": "read", "failover_seconds": 9.0},
    ]
    findings = {
        "durability": Finding(
            property="durability", state=State.HOLDS, reason="", figures={"acked": 5, "lost": 0, "by_vantage": rows}
        ),
        "availability": Finding(
            property="availability", state=State.HOLDS, reason="", figures={"failover_seconds": 1.0, "series": series}
        ),
    }
    assert figures_of(findings).to_body() == {"acked": 5, "lost": 0, "failoverSeconds": 1.0}
    assert [row.to_body() for row in by_vantage(findings)] == [
        {"vantage": "a", "route": "direct", "acked": 5, "lost": 0, "failoverSeconds": 1.0}
    ]
    assert figures_of({}).to_body() == {}
    assert by_vantage({}) == []


def test_the_exit_code_is_the_worst_there_is() -> None:
    assert exit_code([State.HOLDS], 0) == 0
    assert exit_code([State.HOLDS, State.UNKNOWN], 0) == 2
    assert exit_code([State.UNKNOWN, State.VIOLATED], 0) == 1
    assert exit_code([State.HOLDS], 1) == 3
    assert exit_code([], 0) == 3


def test_a_run_that_could_not_begin_is_told_from_one_that_was_interrupted() -> None:
    assert could_not_begin({"caplab": {"error": "The run could not begin: no prober"}})
    assert not could_not_begin({"caplab": {"error": "the experiment was interrupted"}})
    assert not could_not_begin({})


def test_what_the_api_server_refuses_is_told_in_its_own_words() -> None:
    refused = Refused(422, "Unprocessable Entity", '{"message": "spec.durability: Unsupported value"}')
    assert reason_of(refused) == "spec.durability: Unsupported value"
    assert reason_of(ValueError("no prober")) == "no prober"
