"""The final scan of a Cassandra: members by themselves, then all of them together."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from caplab_probes.engines.cassandra.statements import BUCKETS, bucket_of
from caplab_probes.exporter import Exporter
from caplab_probes.history.writer import read_folder
from caplab_probes.links import NotDone, Scan, Topology
from caplab_probes.load.sessions import session_numbers
from caplab_probes.load.workloads import run_values
from caplab_probes.probe import Probe, ProberContext
from caplab_probes.spec import ProbeSpec
from cassandra import ConsistencyLevel, ReadTimeout
from support.databases.fake_cassandra import ADDRESSES, LIMITS, MEMBERS, SERVICE, FakeRing, Host, Planted, client_of

from caplab.contract.engines import CASSANDRA
from caplab.model.history import validate
from caplab.model.keys import run_number

RUN_ID = "run-1"
NUMBER = run_number(RUN_ID)
LOW = run_values(RUN_ID)[0]


def filled(values: range, missing_at_the_last: int = 0) -> FakeRing:
    """A ring whose last member lacks some of a run's values."""
    ring = FakeRing()
    for address in ADDRESSES:
        lacks = missing_at_the_last if address == ADDRESSES[-1] else 0
        ring.added[address] = {(NUMBER, bucket_of(LOW + n), LOW + n) for n in values[lacks:]}
        ring.registers[address] = {(NUMBER, f"{NUMBER:07x}/k{n}"): LOW + n for n in values[lacks:]}
        ring.added[address] |= {(NUMBER + 1, 0, 7)}
        ring.registers[address][NUMBER + 1, "other"] = 7
    return ring


async def scan(ring: FakeRing, where: int | None, workload: str = "set-scan") -> Scan:
    client = client_of(ring)
    try:
        return await client.scan(SERVICE if where is None else MEMBERS[where], workload, RUN_ID)
    finally:
        await client.close()


@pytest.mark.parametrize("count", [0, 7, 3000])
def test_a_member_reads_what_it_holds_itself_and_the_service_what_all_hold(count: int) -> None:
    ring = filled(range(count), missing_at_the_last=3)
    local = asyncio.run(scan(ring, 2))
    assert local == Scan("cs-2", None, False, tuple((None, LOW + n) for n in range(min(count, 3), count)))
    assert {request.host for request in ring.sent} == {Host("10.0.0.3")}
    assert {request.bound.consistency_level for request in ring.sent} == {ConsistencyLevel.ONE}
    ring.sent.clear()
    together = asyncio.run(scan(ring, None))
    assert together == Scan("all", None, True, tuple((None, LOW + n) for n in range(count)))
    assert {request.bound.consistency_level for request in ring.sent} == {ConsistencyLevel.ALL}
    assert sorted(request.bound.values for request in ring.sent) == [(NUMBER, bucket) for bucket in range(BUCKETS)]


@pytest.mark.parametrize("count", [0, 1, 2500])
def test_registers_are_read_in_pages_with_their_keys(count: int) -> None:
    ring = filled(range(count))
    result = asyncio.run(scan(ring, 1, "register-scan"))
    assert result.elements == tuple(sorted((f"{NUMBER:07x}/k{n}", LOW + n) for n in range(count)))
    assert len(ring.sent) == max(1, -(-count // 1000))


def test_a_member_that_has_no_copy_of_some_keys_cannot_be_read_by_itself() -> None:
    ring = filled(range(5))
    ring.copies = 2
    with pytest.raises(
        NotDone, match=r"cs-0: with 2 copies on 3 members, no member has every key\. Hint: scan on the route"
    ):
        asyncio.run(scan(ring, 0))
    assert not ring.sent
    assert len(asyncio.run(scan(ring, None)).elements) == 5


def test_a_scan_of_a_member_that_is_down_or_that_fails_in_part_is_not_done() -> None:
    with pytest.raises(NotDone, match="cs-1: the driver has no connection to it"):
        asyncio.run(scan(FakeRing(down={"10.0.0.2"}), 1))
    ring = filled(range(5))
    ring.planted = [None, None, Planted(ReadTimeout("too late"))]
    with pytest.raises(NotDone, match="cs-1: too late"):
        asyncio.run(scan(ring, 1))


def test_members_are_scanned_first_and_all_together_last(tmp_path: Path) -> None:
    async def scenario() -> None:
        ring = filled(range(4), missing_at_the_last=1)
        spec = ProbeSpec(
            run_id=RUN_ID, workload="set-scan", rate=1, routes=("service", "direct"), vantages=("a",), seed=1
        )
        around = ProberContext(
            vantage="a", folder=tmp_path, limits=LIMITS, exporter=Exporter("a"), numbers=session_numbers()
        )
        probe = Probe(spec, around, client_of(ring), lambda: Topology(SERVICE, MEMBERS), CASSANDRA.has_primary)
        await probe.run()
        assert (probe.status.phase, probe.status.operations) == ("Done", 4 + 4 + 3 + 4)
        notes = json.loads((tmp_path / RUN_ID / "scan-00.json").read_text())
        assert [(note["server"], note["primary"], note["elements"]) for note in notes] == [
            ("cs-0", False, 4),
            ("cs-1", False, 4),
            ("cs-2", False, 3),
            ("all", True, 4),
        ]
        rows = validate(read_folder(tmp_path / RUN_ID)).to_pylist()
        assert {(row["server"], row["route"], row["epoch"]) for row in rows} == {
            *((f"cs-{number}", "direct", None) for number in range(3)),
            ("all", "service", None),
        }
        assert ring.ended == 1  # with the probe ends its client

    asyncio.run(scenario())
