from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from caplab_probes import clock
from caplab_probes.history import meta, recovery
from caplab_probes.history.recorder import FLUSH_NS, ROWS_MAX, Recorder
from caplab_probes.history.recovery import recovered
from caplab_probes.history.writer import Row, SegmentWriter, read_folder, segments
from caplab_probes.load.schedule import SECOND_NS, Schedule
from caplab_probes.load.transactions import in_history
from caplab_probes.load.workloads import Writer, index_of, operation, value_of
from caplab_probes.spec import ClientOptions, ProbeSpec

from caplab.contract.objects import Levels
from caplab.model.history import validate

ROW = Row("a", 1, "add", None, 7, None, None, None, "service", "m0", "1", 10, 11, 12, "ok", None)

ENDLESS = """
import sys, time
from pathlib import Path
from caplab_probes.history.writer import Row, SegmentWriter
writer = SegmentWriter(Path(sys.argv[1]), 0, segment_ns=50_000_000)
number = 0
while True:
    values = range(number, number + 20)
    rows = [Row("a", 1, "add", None, v, None, None, None, "any", "m0", "1", 1, 2, 3, "ok", None) for v in values]
    writer.write(rows, time.monotonic_ns())
    number += 20
    print(number, flush=True)
"""


def values(folder: Path) -> list[int]:
    return list(read_folder(folder).column("value").to_pylist())


def test_rows_come_back_as_a_valid_history(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, 0)
    writer.write([ROW, ROW._replace(outcome="info", error="timeout", return_ns=None)], 0)
    writer.close()
    history = validate(read_folder(tmp_path)).to_pylist()
    assert [row["return_ns"] for row in history] == [12, None]
    assert history[0]["server"] == "m0"


def test_a_segment_is_closed_by_rename_when_its_second_is_over(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, 3)
    writer.write([ROW], 0)
    writer.write([ROW], SECOND_NS - 1)
    assert [path.name for path in segments(tmp_path)] == ["03-00000000.arrows.part"]
    writer.write([], SECOND_NS)
    assert [path.name for path in segments(tmp_path)] == ["03-00000000.arrows"]
    writer.write([ROW], SECOND_NS)
    assert [path.name for path in segments(tmp_path)] == ["03-00000000.arrows", "03-00000001.arrows.part"]
    assert len(values(tmp_path)) == 3


def test_a_killed_writer_loses_nothing_that_it_had_handed_over(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    written = 0
    while len(segments(tmp_path)) < 3:
        written = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    written = max([written, *map(int, process.stdout.read().split())])
    process.wait()
    process.stdout.close()
    read = values(tmp_path)
    assert read == list(range(len(read)))
    assert len(read) >= written
    assert segments(tmp_path)[-1].name.endswith(".part")


@pytest.mark.parametrize("cut", [1, 7, 100, 1000])
def test_a_torn_end_costs_its_own_batch_only(tmp_path: Path, cut: int) -> None:
    writer = SegmentWriter(tmp_path, 0)
    for value in range(5):
        writer.write([ROW._replace(value=value)], 0)
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-cut])
    assert values(tmp_path) == [0, 1, 2, 3]


def test_an_empty_folder_and_a_segment_without_a_byte_are_histories_without_rows(tmp_path: Path) -> None:
    assert values(tmp_path) == []
    (tmp_path / "00-00000000.arrows.part").touch()
    (tmp_path / "notes.txt").write_text("not a segment")
    assert values(tmp_path) == []


def test_a_recorder_hands_over_five_times_a_second_and_in_the_end(tmp_path: Path) -> None:
    recorder = Recorder(SegmentWriter(tmp_path, 0))
    recorder.tick(FLUSH_NS)
    for value in range(3):
        recorder.add(ROW._replace(value=value))
    recorder.tick(FLUSH_NS + 1)
    recorder.close(2 * FLUSH_NS)
    assert values(tmp_path) == [0, 1, 2]
    assert recorder.count == 3


class _Broken(SegmentWriter):
    def write(self, rows: object, now_ns: int) -> None:
        time.sleep(0.2)
        raise OSError("No space left on device")


def test_a_disk_that_fails_ends_the_probe(tmp_path: Path) -> None:
    recorder = Recorder(_Broken(tmp_path, 0))
    recorder.tick(FLUSH_NS)
    with pytest.raises(OSError, match="No space left"):
        recorder.close(2 * FLUSH_NS)


def test_memory_is_bounded_where_the_disk_takes_no_rows(tmp_path: Path) -> None:
    recorder = Recorder(_Broken(tmp_path, 0))
    recorder.tick(FLUSH_NS)
    for _ in range(ROWS_MAX + 1):
        recorder.add(ROW)
    with pytest.raises(OSError, match="cannot be written fast enough"):
        recorder.tick(2 * FLUSH_NS)


SPEC = ProbeSpec(
    run_id="run-1",
    workload="set",
    rate=10,
    routes=("service",),
    vantages=("a", "b"),
    seed=1,
    levels=Levels(write="wait-1"),
)


def recorded(folder: Path, closed: bool, spec: ProbeSpec = SPEC) -> Writer:
    """Operations 0 to 20 of a prober that was killed while 18 and 19 were under way."""
    writer = Writer(spec, 1, meta.reserve(folder))
    record = meta.begin(writer, Schedule(anchor_ns=SECOND_NS, rate=10))
    meta.write_meta(folder, replace(record, closed=closed))
    segment = SegmentWriter(folder, writer.incarnation)
    rows = [ROW._replace(vantage="b", value=value_of(writer, index)) for index in range(21) if index not in (18, 19)]
    segment.write(rows, 0)
    return writer


def test_what_a_killed_prober_may_have_sent_is_info(tmp_path: Path) -> None:
    recorded(tmp_path, closed=False)
    rows = [row for row in validate(recovered(tmp_path)).to_pylist() if row["outcome"] == "info"]
    indices = [index_of(row["value"]) for row in rows]
    assert indices == [18, 19, *range(21, 41)]
    info_rows = {(row["vantage"], row["op"], row["level"], row["return_ns"]) for row in rows}
    assert info_rows == {("b", "add", "wait-1", None)}
    assert len({row["session"] for row in rows}) == len(rows)
    assert rows[0]["invoke_ns"] == SECOND_NS + 18 * SECOND_NS // 10


def test_a_killed_prober_whose_client_waits_may_have_sent_more_since_its_last_row(tmp_path: Path) -> None:
    recorded(tmp_path, closed=False, spec=replace(SPEC, client=ClientOptions(timeout_ms=1500)))
    rows = [row for row in recovered(tmp_path).to_pylist() if row["outcome"] == "info"]
    assert [index_of(row["value"]) for row in rows] == [18, 19, *range(21, 41 + 15)]


@pytest.mark.parametrize(
    ("workload", "op", "expected"), [("counter", "incr", 1), ("ids", "id", None), ("cas", "write", 0)]
)
def test_what_writes_no_value_of_its_own_is_known_by_its_time_and_a_cas_comes_back_as_a_write(
    tmp_path: Path, workload: str, op: str, expected: int | None
) -> None:
    writer = Writer(replace(SPEC, workload=workload, levels=Levels()), 1, meta.reserve(tmp_path))
    schedule = Schedule(anchor_ns=SECOND_NS, rate=10)
    meta.write_meta(tmp_path, meta.begin(writer, schedule))
    sent = [(index, operation(writer, index)) for index in range(30)]
    changes = [index for index, op_sent in sent if op_sent.op != "read"]
    rows = [
        # A read shows a value that somebody wrote: it is not taken for the write's own row.
        ROW._replace(op=op_sent.op, value=value_of(writer, changes[3]) if op_sent.op == "read" else op_sent.value)
        for index, op_sent in sent
        if index != changes[3]
    ]
    times = [schedule.due_ns(index) for index, _ in sent if index != changes[3]]
    rows = [row._replace(scheduled_ns=due) for row, due in zip(rows, times, strict=True)]
    SegmentWriter(tmp_path, writer.incarnation).write(rows, 0)
    info_rows = [row for row in validate(recovered(tmp_path)).to_pylist() if row["outcome"] == "info"]
    assert info_rows[0]["scheduled_ns"] == schedule.due_ns(changes[3])
    assert all(row["scheduled_ns"] > schedule.due_ns(changes[-1]) for row in info_rows[1:])
    assert {row["op"] for row in info_rows} == {op}
    assert info_rows[0]["value"] == (value_of(writer, changes[3]) if expected == 0 else expected)
    assert {row["expected"] for row in info_rows} == {None}


def test_transactions_that_a_killed_prober_may_have_sent_are_info_with_what_they_write(tmp_path: Path) -> None:
    writer = Writer(replace(SPEC, workload="txn", levels=Levels(write="serializable")), 1, meta.reserve(tmp_path))
    schedule = Schedule(anchor_ns=SECOND_NS, rate=10)
    meta.write_meta(tmp_path, meta.begin(writer, schedule))
    sent = [operation(writer, index) for index in range(30)]
    lost = next(op for op in sent if len(op.txn) > 2 and not op.only_reads)
    rows = [ROW._replace(op="txn", value=None, txn=in_history(op.txn)) for op in sent if op.index != lost.index]
    SegmentWriter(tmp_path, writer.incarnation).write(rows, 0)
    info_rows = [row for row in validate(recovered(tmp_path)).to_pylist() if row["outcome"] == "info"]
    assert [(micro["op"], micro["key"], micro["value"], micro["elements"]) for micro in info_rows[0]["txn"]] == [
        (micro.op, micro.key, micro.value, None) for micro in lost.txn
    ]
    assert {row["level"] for row in info_rows} == {"serializable"}
    assert all(any(micro["op"] == "append" for micro in row["txn"]) for row in info_rows)
    assert len(info_rows) > 1
    assert all(row["scheduled_ns"] > schedule.due_ns(25) for row in info_rows[1:])


def test_of_an_incarnation_that_still_runs_nothing_is_there_that_is_not_due_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path, closed=False)
    monkeypatch.setattr(clock, "now_ns", lambda: SECOND_NS + 25 * SECOND_NS // 10)
    rows = [row for row in recovered(tmp_path).to_pylist() if row["outcome"] == "info"]
    assert [index_of(row["value"]) for row in rows] == [18, 19, 21, 22, 23, 24]
    # The clock of another boot says nothing about these times.
    monkeypatch.setattr(clock, "boot_id", lambda: "another")
    assert len(recovered(tmp_path).filter(pc.field("outcome") == "info")) == 22


def test_an_incarnation_that_ends_while_it_is_read_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path, closed=False)
    (record,) = meta.read_metas(tmp_path)

    def slow(folder: Path) -> object:
        table = read_folder(folder)
        meta.write_meta(folder, replace(record, closed=True))
        return table

    monkeypatch.setattr(recovery, "read_folder", slow)
    assert "info" in recovered(tmp_path).column("outcome").to_pylist()


def test_nothing_is_added_to_the_history_of_a_prober_that_ended_in_order(tmp_path: Path) -> None:
    recorded(tmp_path, closed=True)
    assert recovered(tmp_path).num_rows == 19


def test_a_restarted_prober_is_another_incarnation_in_the_same_folder(tmp_path: Path) -> None:
    first, second = recorded(tmp_path, closed=False), recorded(tmp_path, closed=True)
    assert (first.incarnation, second.incarnation) == (0, 1)
    assert [written.writer for written in meta.read_metas(tmp_path)] == [first, second]
    assert len(set(values(tmp_path))) == 38


@pytest.mark.parametrize(
    "client",
    [
        ClientOptions(client_timestamps=False, speculative_delay_ms=50),
        ClientOptions(clock_skew_ms=-250, skewed_vantages=SPEC.vantages[:1]),
        ClientOptions(timeout_ms=40_000),
    ],
)
def test_a_meta_file_reads_back_as_it_was_written(tmp_path: Path, client: ClientOptions) -> None:
    spec = replace(SPEC, client=client)
    record = meta.begin(Writer(spec, 0, meta.reserve(tmp_path)), Schedule(5, 10, 20))
    meta.write_meta(tmp_path, record)
    assert meta.read_metas(tmp_path) == [record]
    assert len(record.boot_id) == 36
    assert record.wall_anchor.monotonic_ns > 0


def test_a_meta_file_of_an_older_prober_has_no_options_of_the_client(tmp_path: Path) -> None:
    record = meta.begin(Writer(SPEC, 0, meta.reserve(tmp_path)), Schedule(5, 10, 20))
    meta.write_meta(tmp_path, record)
    path = tmp_path / "meta-00.json"
    plain = json.loads(path.read_text())
    del plain["writer"]["spec"]["client"]
    path.write_text(json.dumps(plain))
    assert meta.read_metas(tmp_path) == [record]
