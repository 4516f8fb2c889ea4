from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from caplab_cluster.paths import CHART
from caplab_probes.cache.protections import PROTECTIONS
from caplab_probes.load.workloads import (
    CAS_REGISTERS,
    CLOCK_KEY,
    COUNTERS,
    INCARNATIONS,
    INDEX_BITS,
    REGISTERS,
    Operation,
    Writer,
    index_of,
    is_beat,
    operation,
    run_of,
    run_values,
    value_of,
)
from caplab_probes.spec import (
    CLIENT_FIELDS,
    CLOCK_SKEW_MS_MAX,
    REPLICA_WAIT_MS_MAX,
    TIMEOUT_MS_MAX,
    TIMEOUT_MS_MIN,
    WORKLOADS,
    ClientOptions,
    ProbeSpec,
    probe_from,
)
from support.chart.templates import read_crd

from caplab.contract.objects import CACHE, READ_ROUTINGS, ROUTES, Probe
from caplab.model.keys import run_number

SET = ProbeSpec(run_id="run-1", workload="set", rate=20, routes=("service", "direct"), vantages=("a", "b", "c"), seed=3)
REGISTER = replace(SET, workload="register")


def test_routes_take_turns() -> None:
    assert [operation(Writer(SET, 0), index).route for index in range(4)] == ["service", "direct"] * 2


def test_a_set_only_adds_and_says_who_added_what() -> None:
    adds = [operation(Writer(SET, 1), index) for index in range(100)]
    assert {op.op for op in adds} == {"add"}
    assert [index_of(op.value or 0) for op in adds] == list(range(100))


def test_a_clock_beats_with_unique_values_that_say_their_run() -> None:
    writer = Writer(replace(SET, workload="clock", run_id="run-1-clock"), 2, 1)
    beats = [operation(writer, index) for index in range(100)]
    value = value_of(writer, 1)
    assert beats[1] == Operation(index=1, op="write", route="direct", key=CLOCK_KEY, value=value, workload="clock")
    assert {run_of(op.value or 0) for op in beats} == {run_number("run-1-clock")}
    assert all(map(is_beat, beats))
    assert not any(is_beat(operation(Writer(spec, 0), index)) for spec in (SET, REGISTER) for index in range(100))


def test_values_of_runs_vantages_and_incarnations_differ() -> None:
    writers = [
        Writer(replace(SET, run_id=run), vantage, incarnation)
        for run in ("run-1", "run-2")
        for vantage in range(3)
        for incarnation in (0, 1)
    ]
    values = {value_of(writer, index) for writer in writers for index in range(50)}
    assert len(values) == len(writers) * 50


def test_a_runs_values_are_one_range_of_a_signed_bigint() -> None:
    low, end = run_values("run-1")
    biggest = value_of(Writer(replace(SET, vantages=tuple(map(str, range(32)))), 31, INCARNATIONS - 1), 2**26 - 1)
    assert low <= value_of(Writer(SET, 0), 0) <= biggest == end - 1 < 2**63


def test_a_register_has_one_writer_and_its_versions_grow_also_over_a_restart() -> None:
    writes: dict[str, list[tuple[int, int]]] = {}
    for vantage in range(3):
        for incarnation in (0, 1):
            for index in range(400):
                op = operation(Writer(REGISTER, vantage, incarnation), index)
                if op.op == "write":
                    writes.setdefault(op.key or "", []).append((vantage, op.value or 0))
    for versions in writes.values():
        assert len({vantage for vantage, _ in versions}) == 1
        values = [value for _, value in versions]
        assert values == sorted(set(values))


def test_registers_are_read_by_everybody_on_the_route_they_are_written_on() -> None:
    some = [operation(Writer(REGISTER, 0), index) for index in range(3000)]
    reads = [op for op in some if op.op == "read"]
    assert 0.4 < len(reads) / len(some) < 0.6
    assert {(op.key or "").split("/")[2] for op in reads} == {"a", "b", "c"}
    assert all((op.key or "").split("/")[3] == op.route for op in reads)
    assert {op.key for op in some if op.op == "write"} <= {op.key for op in reads}


def some_of(workload: str, vantage: int = 0, count: int = 2000) -> list[Operation]:
    return [operation(Writer(replace(SET, workload=workload), vantage), index) for index in range(count)]


@pytest.mark.parametrize(
    ("workload", "op", "keys"),
    [("register-multi", "write", REGISTERS), ("counter", "incr", COUNTERS), ("cas", "cas", CAS_REGISTERS)],
)
def test_every_vantage_changes_and_reads_every_key_of_a_shared_workload(workload: str, op: str, keys: int) -> None:
    of_vantages = [some_of(workload, vantage) for vantage in range(3)]
    changed = [{(sent.route, sent.key) for sent in some if sent.op == op} for some in of_vantages]
    read = [{(sent.route, sent.key) for sent in some if sent.op == "read"} for some in of_vantages]
    assert len(changed[0]) == 2 * keys  # of each route its own
    assert changed[0] == changed[1] == changed[2] == read[0]
    shares = [sum(sent.op == op for sent in some) / len(some) for some in of_vantages]
    assert all(0.4 < share < 0.6 for share in shares)


def test_values_of_registers_that_all_write_are_unique_and_counters_count_by_one() -> None:
    for workload in ("register-multi", "cas"):
        values = [op.value for vantage in range(3) for op in some_of(workload, vantage) if op.op != "read"]
        assert len(set(values)) == len(values)
    assert {op.value for op in some_of("counter") if op.op == "incr"} == {1}


def test_ids_are_asked_for_by_one_name_on_all_routes_and_bring_no_value() -> None:
    ids = some_of("ids", 1)
    assert {(op.op, op.value, op.key) for op in ids} == {("id", None, f"{run_number('run-1'):07x}/probe")}
    assert {op.route for op in ids} == {"service", "direct"}


def test_a_read_of_the_route_replica_is_at_the_level_of_its_routing_and_others_are_not() -> None:
    routed = replace(REGISTER, routes=("service", "replica"), client=ClientOptions(read_routing="monotonic"))
    some = [operation(Writer(routed, 0), index) for index in range(200)]
    assert {(op.op, op.route, op.level) for op in some} == {
        ("read", "service", None),
        ("read", "replica", "monotonic"),
        ("write", "service", None),
        ("write", "replica", None),
    }


def test_the_same_seed_gives_the_same_operations_and_another_gives_others() -> None:
    def some(spec: ProbeSpec) -> list[object]:
        return [operation(Writer(spec, 0), index) for index in range(50)]

    assert some(REGISTER) == some(REGISTER)
    assert some(REGISTER) != some(replace(REGISTER, seed=4))


def test_what_has_no_value_left_is_refused() -> None:
    with pytest.raises(ValueError, match="begin a new run"):
        value_of(Writer(SET, 0), 1 << INDEX_BITS)
    with pytest.raises(ValueError, match="begin a new run"):
        Writer(SET, 0, INCARNATIONS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run_id", ""),
        ("run_id", "../x"),
        ("name", "a/b"),
        ("workload", "sets"),
        ("rate", 0.0),
        ("rate", float("nan")),
        ("routes", ()),
        ("routes", ("service", "service")),
        ("vantages", ()),
        ("vantages", ("a", "a")),
        ("seconds", 0.0),
    ],
)
def test_a_probe_that_makes_no_sense_is_refused_with_the_hint(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="Hint"):
        replace(SET, **{field: value})  # type: ignore[arg-type]


def probe_object(**spec: object) -> dict[str, Any]:
    whole = {
        "target": {"kind": "PostgresCluster", "name": "pg"},
        "workload": "set",
        "rate": 20,
        "vantages": ["a", "b", "c"],
        "runId": "run-1",
        **spec,
    }
    return {"metadata": {"namespace": "lab", "name": "load"}, "spec": whole}


def read(**spec: object) -> Probe:
    return Probe.from_body(probe_object(**spec))


def test_a_probe_object_is_read_with_its_defaults() -> None:
    spec, target = probe_from(read())
    assert spec == replace(SET, seed=0, name="load")
    assert (target.namespace, target.kind, target.name) == ("lab", "PostgresCluster", "pg")


def test_the_options_of_reads_are_read() -> None:
    client = {"readRouting": "lag-aware", "maxLagBytes": 0}
    spec, _ = probe_from(read(routes=["replica"], client=client))
    assert spec.client == ClientOptions(read_routing="lag-aware", max_lag_bytes=0)
    client = {"readRouting": "causal", "replicaWaitMilliseconds": 20}
    spec, _ = probe_from(read(routes=["replica"], client=client))
    assert spec.client == ClientOptions(read_routing="causal", replica_wait_ms=20)


def test_the_custom_resource_definition_knows_the_same_words() -> None:
    (version,) = read_crd(CHART / "templates/crds/probe.yaml")["spec"]["versions"]
    fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert sorted(fields["workload"]["enum"]) == sorted((*WORKLOADS, CACHE))
    assert fields["cache"]["properties"]["protection"]["enum"] == [*PROTECTIONS]
    assert tuple(fields["routes"]["items"]["enum"]) == ROUTES
    client = fields["client"]["properties"]
    assert list(client) == list(CLIENT_FIELDS)
    assert tuple(client["readRouting"]["enum"]) == READ_ROUTINGS
    assert client["replicaWaitMilliseconds"]["maximum"] == REPLICA_WAIT_MS_MAX
    skew = client["clockSkewMilliseconds"]
    assert (skew["minimum"], skew["maximum"]) == (-CLOCK_SKEW_MS_MAX, CLOCK_SKEW_MS_MAX)
    timeout = client["timeoutMilliseconds"]
    assert (timeout["type"], timeout["minimum"], timeout["maximum"]) == ("integer", TIMEOUT_MS_MIN, TIMEOUT_MS_MAX)


def test_a_missing_field_of_a_probe_object_is_named() -> None:
    body = probe_object()
    del body["spec"]["runId"]
    with pytest.raises(ValueError, match=r"spec: field 'runId' is missing"):
        probe_from(Probe.from_body(body))
