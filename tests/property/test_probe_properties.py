from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from caplab_probes.engines.postgres.outcomes import ServerError, classify, classify_beat
from caplab_probes.history.pruning import RunFolder, surplus
from caplab_probes.history.writer import Row, SegmentWriter, read_folder, segments
from caplab_probes.load.schedule import Schedule, due
from caplab_probes.load.workloads import INCARNATIONS, Writer, index_of, operation, run_values, value_of
from caplab_probes.outcomes import NoAnswer
from caplab_probes.spec import WORKLOADS, ClientOptions, ProbeSpec
from caplab_probes.watch import decide
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import cases

from caplab.contract.objects import SCANS, Levels
from caplab.model.history import ERRORS, OPS, OUTCOMES, ROUTES

pytestmark = pytest.mark.property

specs = st.builds(
    ProbeSpec,
    run_id=st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True),
    workload=st.sampled_from([workload for workload in WORKLOADS if workload not in SCANS]),
    rate=st.floats(0.1, 500),
    routes=st.lists(st.sampled_from(["service", "direct", "any", "replica"]), min_size=1, unique=True).map(tuple),
    vantages=st.lists(st.sampled_from("abcdef"), min_size=1, unique=True).map(tuple),
    seed=st.integers(),
    levels=st.builds(Levels, write=st.sampled_from([None, "wait-1", "wait-8"])),
    client=st.builds(
        ClientOptions, client_timestamps=st.booleans(), speculative_delay_ms=st.none() | st.integers(1, 10_000)
    ),
)


@st.composite
def writers(draw: st.DrawFn) -> Writer:
    spec = draw(specs)
    vantage = draw(st.integers(0, len(spec.vantages) - 1))
    return Writer(spec, vantage, draw(st.integers(0, INCARNATIONS - 1)))


@given(st.integers(0, 10**15), st.floats(0.1, 1000), st.lists(st.integers(0, 3 * 10**9), max_size=20))
def test_every_operation_is_due_once_in_order_and_never_early(anchor: int, rate: float, naps: list[int]) -> None:
    schedule, now, index = Schedule(anchor, rate, count=500), anchor, 0
    for nap in (0, *naps):
        now += nap
        for due_operation in due(schedule, index, now, 250_000_000):
            assert due_operation.index == index
            assert due_operation.scheduled_ns == schedule.due_ns(index) <= now
            assert due_operation.overload == (now - due_operation.scheduled_ns > 250_000_000)
            index += 1
    assert schedule.over(index) or schedule.due_ns(index) > now


@given(writers(), writers(), st.integers(0, 2**26 - 1), st.integers(0, 2**26 - 1))
def test_values_are_equal_only_for_the_same_operation_of_a_run(
    first_writer: Writer, second_writer: Writer, i: int, j: int
) -> None:
    first, second = value_of(first_writer, i), value_of(second_writer, j)
    low, end = run_values(first_writer.spec.run_id)
    assert 0 <= low <= first < end <= 2**63
    assert index_of(first) == i
    same_run = run_values(first_writer.spec.run_id) == run_values(second_writer.spec.run_id)
    same = same_run and (first_writer.vantage, first_writer.incarnation, i) == (
        second_writer.vantage,
        second_writer.incarnation,
        j,
    )
    assert (first == second) == same


@given(writers(), st.integers(0, 10**6))
def test_an_operation_speaks_the_words_of_the_history_and_is_always_the_same(writer: Writer, index: int) -> None:
    op = operation(writer, index)
    assert op == operation(writer, index)
    assert op.op in OPS
    assert op.route in ROUTES
    assert (op.value is None) == (op.op in ("read", "id", "txn"))
    assert (op.key is None) == (op.op in ("add", "txn"))
    assert op.level == (writer.spec.levels.read if op.op == "read" or op.only_reads else writer.spec.levels.write)
    assert op.workload == writer.spec.workload


@given(
    st.integers(0, 10**15), st.floats(0.1, 2000), st.integers(1, 2**26), st.integers(0, 2**27), st.integers(1, 10**5)
)
def test_the_time_of_an_operation_says_which_it_was(
    anchor: int, rate: float, count: int, index: int, beside_ns: int
) -> None:
    schedule = Schedule(anchor, rate, count)
    assert schedule.index_at(schedule.due_ns(index)) == (index if index < count else None)
    assert schedule.index_at(schedule.due_ns(index) + beside_ns) is None
    assert schedule.index_at(anchor - beside_ns) is None


@given(
    st.booleans(),
    st.none()
    | st.sampled_from(NoAnswer)
    | st.builds(ServerError, st.text("0123456789ABCDEFP", min_size=5, max_size=5), st.booleans()),
    st.lists(st.sampled_from(["01000", "57P01"])).map(tuple),
)
def test_an_outcome_is_of_the_vocabulary_and_never_surer_than_what_was_seen(
    sent: bool, problem: NoAnswer | ServerError | None, warnings: tuple[str, ...]
) -> None:
    outcome = classify(sent, problem, warnings)
    assert outcome.outcome in OUTCOMES
    assert outcome.error is None or outcome.error in ERRORS
    assert (outcome.outcome == "ok") == (problem is None and not warnings)
    if problem is not None and not sent:
        assert outcome.outcome == "fail"
    if isinstance(problem, NoAnswer) and sent:
        assert outcome.outcome == "info"
    beat = classify_beat(sent, problem, warnings)
    assert beat == outcome or (outcome.outcome, beat.outcome, beat.error) == ("fail", "info", outcome.error)


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5), max_size=12), st.integers(0, 400))
@settings(max_examples=cases(50))
def test_whatever_is_cut_off_the_last_segment_the_rest_is_a_prefix(batches: list[list[int]], cut: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        writer = SegmentWriter(folder, 0, segment_ns=3)
        for number, values in enumerate(batches):
            rows = [
                Row("a", 1, "add", None, v, None, None, None, "any", None, None, 1, 2, 3, "ok", None) for v in values
            ]
            writer.write(rows, number)
        written = [value for values in batches for value in values]
        assert read_folder(folder).column("value").to_pylist() == written
        torn = [path for path in segments(folder) if path.name.endswith(".part")]
        for path in torn:
            path.write_bytes(path.read_bytes()[: -cut or None])
        values = read_folder(folder).column("value").to_pylist()
        assert values == written[: len(values)]


probe_objects = st.builds(
    lambda uid, stop, vantages, workload, phase: {
        "metadata": {"uid": uid, "name": uid, "namespace": "lab"},
        "spec": {
            "target": {"kind": "PostgresCluster", "name": "pg"},
            "workload": workload,
            "rate": 1,
            "runId": "r",
            "vantages": vantages,
            "stop": stop,
        },
        "status": {"vantages": [{"name": "a", "phase": phase}]},
    },
    uid=st.sampled_from("123456"),
    stop=st.booleans(),
    vantages=st.lists(st.sampled_from("abc"), unique=True),
    workload=st.sampled_from(["set", "nonsense"]),
    phase=st.sampled_from(["", "Running", "Done", "Failed"]),
)


@given(st.lists(probe_objects, unique_by=lambda body: body["metadata"]["uid"]), st.sets(st.sampled_from("123456")))
def test_once_the_moves_are_made_there_is_nothing_more_to_do(
    objects: list[dict[str, object]], started: set[str]
) -> None:
    actions = decide(objects, "a", started)
    assert not {probe.uid for probe in actions.start} & started
    assert set(actions.stop) <= started
    after = (started | {probe.uid for probe in actions.start}) - set(actions.stop)
    again = decide(objects, "a", after)
    assert not again.start
    assert not again.stop


run_folders = st.lists(
    st.builds(RunFolder, st.sampled_from("abcdefghij"), st.integers(0, 100), st.integers(0, 5)),
    unique_by=lambda run: run.name,
)


@given(run_folders, st.sets(st.sampled_from("abcdefghij")), st.integers(0, 6), st.integers(0, 300))
def test_runs_go_oldest_first_until_the_limits_are_kept_and_none_in_use_ever(
    runs: list[RunFolder], in_use: set[str], count: int, size_bytes: int
) -> None:
    gone = surplus(runs, in_use, count, size_bytes)
    assert not set(gone) & in_use

    def kept_within(names: tuple[str, ...]) -> bool:
        left = [run for run in runs if run.name not in names]
        return len(left) <= count and sum(run.size_bytes for run in left) <= size_bytes

    free = {run.name: run for run in runs if run.name not in in_use}
    # Either the limits are kept, or there was nothing else to take.
    assert kept_within(gone) or set(gone) == set(free)
    # One less would not have been enough.
    assert not gone or not kept_within(gone[:-1])
    kept = [run.changed_ns for name, run in free.items() if name not in gone]
    assert all(free[name].changed_ns <= changed for name in gone for changed in kept)
