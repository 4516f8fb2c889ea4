"""Compare and set: a session expects what it saw last."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from caplab_probes.engines.redis.client import client
from caplab_probes.exporter import Exporter
from caplab_probes.history.writer import read_folder
from caplab_probes.links import Result, Topology
from caplab_probes.load.session_state import SessionState
from caplab_probes.load.sessions import session_numbers
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import OK
from caplab_probes.probe import Probe, ProberContext
from caplab_probes.spec import ProbeSpec
from support.databases.fake_redis import LIMITS, FakeRedis, fake_redis, member_of, service_of

from caplab.model.history import validate

READ = Operation(index=0, op="read", route="service", key="k", workload="cas")
CAS = Operation(index=0, op="cas", route="service", key="k", value=5, workload="cas")


def test_a_cas_expects_what_its_session_read_set_or_found_last_and_first_nothing() -> None:
    state = SessionState()
    assert state.with_expected(CAS) == CAS
    state.learn(READ, Result(outcome=OK, value=3))
    assert state.with_expected(CAS) == replace(CAS, expected=3)
    assert state.with_expected(replace(CAS, key="other")).expected is None
    state.learn(state.with_expected(CAS), Result(outcome=OK, observed=3))
    assert state.with_expected(CAS).expected == 5
    state.learn(state.with_expected(CAS), Result(outcome=OK, observed=7))
    assert state.with_expected(CAS).expected == 7
    state.learn(state.with_expected(CAS), Result(outcome=OK, observed=None))
    assert state.with_expected(CAS).expected is None
    state.learn(state.with_expected(CAS), Result(outcome=OK, observed=None))
    assert state.with_expected(CAS).expected == 5


def test_other_operations_are_as_they_were_and_teach_nothing() -> None:
    state = SessionState()
    for op in (replace(READ, workload="register"), Operation(index=0, op="add", route="service", value=1)):
        state.learn(op, Result(outcome=OK, value=3))
        assert state.with_expected(op) is op
    assert state.with_expected(CAS).expected is None


async def run(fake: FakeRedis, folder: Path, vantage: str) -> None:
    spec = ProbeSpec(
        run_id="run-1", workload="cas", rate=100, routes=("service",), vantages=("a", "b"), seed=1, seconds=1.0
    )
    topology = Topology(service_of(fake), (member_of(fake),))
    login = {"username": "caplab", "password": "secret"}
    around = ProberContext(
        vantage=vantage, folder=folder / vantage, limits=LIMITS, exporter=Exporter(vantage), numbers=session_numbers()
    )
    probe = Probe(spec, around, client(login, LIMITS, lambda: topology), lambda: topology)
    await probe.run()
    assert probe.status.phase == "Done"


def test_every_value_of_a_key_that_vantages_compare_and_set_has_one_follower(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            await asyncio.gather(*(run(fake, tmp_path, vantage) for vantage in "ab"))

    asyncio.run(scenario())
    rows = [row for v in "ab" for row in validate(read_folder(tmp_path / v / "run-1")).to_pylist()]
    done = [row for row in rows if row["op"] == "cas" and row["outcome"] == "ok" and row["observed"] == row["expected"]]
    changes = [
        row for row in rows if row["op"] == "cas" and row["outcome"] == "ok" and row["observed"] != row["expected"]
    ]
    steps = {(row["key"], row["expected"]) for row in done}
    assert len(steps) == len(done) > 20
    assert len(changes) > 5
    values = {(row["key"], row["value"]) for row in done} | {(row["key"], None) for row in rows}
    assert {(row["key"], row["observed"]) for row in changes} <= values
    assert {(row["key"], row["value"]) for row in rows if row["op"] == "read"} <= values
