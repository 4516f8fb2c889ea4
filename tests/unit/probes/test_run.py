"""A probe's run, on a tiny server: schedule, hangs, sessions, stops and the final scan."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from caplab_probes.engines.opening import Opener, WorkingLink
from caplab_probes.exporter import Exporter
from caplab_probes.history.writer import read_folder
from caplab_probes.links import Endpoint, Topology
from caplab_probes.load.sessions import session_numbers
from caplab_probes.probe import Probe, ProberContext
from caplab_probes.scan import read_notes
from caplab_probes.spec import Limits, ProbeSpec
from support.databases.fake_postgres import LIMITS, FakeServer, client_of, fake_server, rows
from support.databases.fake_redis import REPLID, FakeRedis, fake_redis
from support.databases.loopback import wait_until

from caplab.model.history import validate

PATIENT = replace(LIMITS, statement_seconds=5.0, start_seconds=5.0)  # for all to be ok, however busy the machine is


async def run_probe(
    fake: FakeServer,
    folder: Path,
    during: Callable[[Probe], Awaitable[None]],
    limits: Limits = LIMITS,
    **spec: object,
) -> Probe:
    settings: dict[str, object] = {"workload": "set", "rate": 50, "routes": ("service",), "seconds": 1.0, **spec}
    probe_spec = ProbeSpec(run_id="run-1", vantages=("a",), seed=1, **settings)  # type: ignore[arg-type]
    around = ProberContext(vantage="a", folder=folder, limits=limits, exporter=Exporter("a"), numbers=session_numbers())
    topology = Topology(Endpoint("service", "localhost", fake.port), (Endpoint("pg-1", "127.0.0.1", fake.port),))
    probe = Probe(probe_spec, around, client_of(fake, limits), lambda: topology)
    task = asyncio.create_task(probe.run())
    await during(probe)
    await task
    return probe


async def nothing(_: Probe) -> None:
    pass


def test_a_probe_runs_its_schedule_and_writes_every_operation_down(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_server() as fake:
            probe = await run_probe(fake, tmp_path, nothing, PATIENT)
            assert (probe.status.phase, probe.status.operations) == ("Done", 50)
            history = validate(read_folder(tmp_path / "run-1")).to_pylist()
            assert [row["outcome"] for row in history] == ["ok"] * 50
            steps = {later["scheduled_ns"] - row["scheduled_ns"] for row, later in pairwise(history)}
            assert steps <= {20_000_000}
            assert not list((tmp_path / "run-1").glob("*.part"))

    asyncio.run(scenario())


def test_while_commits_hang_few_are_under_way_and_the_rest_are_overloads(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_server() as fake:
            waits = asyncio.Event()

            async def block(probe: Probe) -> None:
                await asyncio.sleep(0.4)
                fake.hang = waits
                await asyncio.sleep(1.0)
                assert sum(statement.startswith("INSERT") for statement in fake.statements) <= 20 + 4
                assert fake.open <= 2 * LIMITS.in_flight + 1
                fake.hang = None
                waits.set()

            await run_probe(fake, tmp_path, block, seconds=3.0)
            history = validate(read_folder(tmp_path / "run-1")).to_pylist()
            assert len(history) == 150
            words = [(row["outcome"], row["error"]) for row in history]
            assert 3 <= words.count(("info", "timeout")) <= LIMITS.in_flight
            assert words.count(("fail", "overload")) > 20
            # As soon as the server answers, operations flow again, if not all of them on a busy machine.
            assert words[-50:].count(("ok", None)) > 20
            unknown = [row for row in history if row["outcome"] == "info"]
            assert all(row["return_ns"] is None for row in unknown)

    asyncio.run(scenario())


def test_a_probe_ends_with_all_its_rows_where_the_server_never_answers_and_lets_go_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_server(hang=asyncio.Event()) as fake:
            # It hangs only once the probe runs: preparing would wait for it.
            waits, fake.hang = fake.hang, None

            async def block(probe: Probe) -> None:
                while probe.status.phase != "Running":
                    await asyncio.sleep(0.01)
                fake.hang = waits

            async with asyncio.timeout(60):
                probe = await run_probe(fake, tmp_path, block)
            assert (probe.status.phase, probe.status.operations) == ("Done", 50)
            assert waits is not None
            waits.set()
            await asyncio.sleep(0.05)
            assert fake.open == 0

    asyncio.run(scenario())


def test_a_fault_of_the_probers_own_ends_the_probe_and_is_not_taken_for_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async def broken(self: Opener, endpoint: Endpoint) -> WorkingLink:
            raise ZeroDivisionError("a fault")

        async with fake_server() as fake:

            async def breaks(probe: Probe) -> None:
                await asyncio.sleep(0.3)
                monkeypatch.setattr(Opener, "open", broken)
                fake.close_instead = True

            probe = await run_probe(fake, tmp_path, breaks)
            assert probe.status.phase == "Failed"
            assert "ZeroDivisionError('a fault')" in probe.status.last_error

    asyncio.run(scenario())


def test_after_info_a_session_goes_on_as_a_new_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_server() as fake:

            async def cut(probe: Probe) -> None:
                await asyncio.sleep(0.5)
                fake.close_instead = True
                await asyncio.sleep(0.2)
                fake.close_instead = False

            await run_probe(fake, tmp_path, cut)
            history = validate(read_folder(tmp_path / "run-1")).to_pylist()
            for number, row in enumerate(history):
                if row["outcome"] == "info":
                    assert row["error"] == "closed"
                    assert row["session"] not in {later["session"] for later in history[number + 1 :]}
            assert any(row["outcome"] == "info" for row in history)
            assert history[-1]["outcome"] == "ok"

    asyncio.run(scenario())


def test_a_probe_waits_for_its_target_says_why_and_can_be_stopped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_server(accept=False) as fake:

            async def look(probe: Probe) -> None:
                await wait_until(lambda: probe.status.last_error)
                assert probe.status.phase == "Pending"
                assert probe.status.last_error.startswith("pg-1: ")
                probe.stop()

            probe = await run_probe(fake, tmp_path, look, seconds=None)
            assert (probe.status.phase, probe.status.operations) == ("Done", 0)
            assert probe.status.last_error.startswith("the load never began: pg-1: ")

    asyncio.run(scenario())


def test_a_final_scan_writes_one_row_an_element_and_says_how_many(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_server(reply=rows(b"|7", b"|9")) as fake:
            probe = await run_probe(fake, tmp_path, nothing, workload="set-scan", routes=("direct",))
            assert probe.status.phase == "Done"
            history = validate(read_folder(tmp_path / "run-1")).to_pylist()
            assert [(row["op"], row["value"], row["server"], row["route"]) for row in history] == [
                ("scan", 7, "pg-1", "direct"),
                ("scan", 9, "pg-1", "direct"),
            ]
            assert len({row["invoke_ns"] for row in history}) == 1
            (note,) = read_notes(tmp_path / "run-1")
            assert (note["workload"], note["elements"], note["server"]) == ("set-scan", 2, "pg-1")
            assert note["invoke_ns"] == history[0]["invoke_ns"]

    asyncio.run(scenario())


async def by_hand(fake: FakeRedis, folder: Path, *options: str) -> tuple[int, str, str]:
    """`python -m caplab_probes run`: its return code, what it said, and what it complained of."""
    where = ["--vantage", "a", "--folder", str(folder), "--metrics-port", "0"]
    what = ["run", "--engine", "redis", "--run-id", "r1", "--service", f"127.0.0.1:{fake.port}", *options]
    command = [sys.executable, "-m", "caplab_probes", *where, *what]
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "CAPLAB_PASSWORD": "secret"}
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment)
    out, complaints = await process.communicate()
    return process.returncode or 0, out.decode(), complaints.decode()


def test_by_hand_a_redis_is_probed_with_its_password_and_a_level(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            load = ("--workload", "register", "--rate", "50", "--seconds", "1", "--write-level", "wait-1")
            code, printed, _ = await by_hand(fake, tmp_path, *load, "--timeout-ms", "2000")
            assert (code, json.loads(printed)["phase"], json.loads(printed)["operations"]) == (0, "Done", 50)
            history = validate(read_folder(tmp_path / "r1")).to_pylist()
            assert {(row["op"], row["level"]) for row in history} == {("write", "wait-1"), ("read", None)}
            assert {(row["outcome"], row["epoch"]) for row in history} == {("ok", REPLID)}
            assert [b"WAIT", b"1", b"1800"] in fake.commands  # by the time that its operations have
            code, printed, _ = await by_hand(fake, tmp_path, "--workload", "register-scan")
            assert (code, json.loads(printed)["operations"]) == (0, len(fake.registers))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--write-level", "wait-0", "levels.write is 'wait-0'. Hint: use one of wait-1, "),
        ("--timeout-ms", "49", "client.timeoutMilliseconds is 49. Hint: a whole number, 50 to 120000."),
    ],
)
def test_by_hand_what_the_engine_does_not_know_is_refused(
    tmp_path: Path, option: str, value: str, problem: str
) -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            code, _, complaints = await by_hand(fake, tmp_path, option, value)
            assert code == 2
            assert problem in complaints

    asyncio.run(scenario())
