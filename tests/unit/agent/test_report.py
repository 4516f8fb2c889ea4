"""Reports, also those that wait for an API server which does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from caplab_agent.faults import FaultRecord
from caplab_agent.report import Reporter, report_body
from support.agent.records import ASSIGNMENT, RECORD

from caplab.contract.phases import ACTIVE, GONE, HEALED


def test_a_report_names_every_begun_record_of_its_fault_and_no_field_of_the_operator() -> None:
    other = replace(
        RECORD, assignment=replace(ASSIGNMENT, pod_uid="p2"), state=HEALED, healed_ns=9, healed_at="t", problem="p"
    )
    waiting = FaultRecord(assignment=replace(ASSIGNMENT, pod_uid="p3"), boot_id="boot-1", deadline_ns=5)
    body = report_body([RECORD, other, waiting])
    assert body
    assert body["metadata"] == {"namespace": "lab", "name": "kill-it", "uid": "f1"}
    assert body["status"] == {
        "targets": [
            {
                "uid": "p1",
                "state": "Active",
                "injectedAt": "2026-01-01T12:00:00.123Z",
                "injectedNs": 3,
                "bootId": "boot-1",
                "proven": True,
                "evidence": ["SIGKILL to 3 processes"],
            },
            {**body["status"]["targets"][0], "uid": "p2", "state": "Healed", "healedNs": 9, "healedAt": "t"}
            | {"problem": "p"},
        ]
    }
    assert report_body([waiting]) is None


def test_a_report_says_when_the_effect_was_there_and_that_a_pod_is_gone() -> None:
    body = report_body([replace(RECORD, state=GONE, effective_ns=4)])
    assert body
    (target,) = body["status"]["targets"]
    assert (target["state"], target["injectedNs"], target["effectiveNs"]) == ("Gone", 3, 4)


def test_a_report_keeps_to_the_bounds_of_the_schema() -> None:
    body = report_body([replace(RECORD, evidence=("x" * 400,) * 30, problem="y" * 2000)])
    assert body
    (target,) = body["status"]["targets"]
    assert len(target["evidence"]) == 20
    assert {len(line) for line in target["evidence"]} == {300}
    assert len(target["problem"]) == 1000


class Server:
    """Takes reports, or does not."""

    def __init__(self) -> None:
        self.up = True
        self.refused: set[str] = set()
        self.silent = threading.Event()
        self.silent.set()
        self.tries = 0
        self.taken: list[Mapping[str, Any]] = []

    def send(self, body: Mapping[str, Any]) -> None:
        self.tries += 1
        self.silent.wait()
        if not self.up or body["metadata"]["name"] in self.refused:
            raise OSError("no answer")
        self.taken.append(body)


def body(name: str, state: str = ACTIVE) -> dict[str, Any]:
    return {"metadata": {"namespace": "lab", "name": name}, "state": state}


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def reporter(server: Server) -> Iterator[Reporter]:
    made = Reporter(server.send, again_seconds=0.05)
    made.start()
    yield made
    made.stop()
    server.silent.set()


def test_a_report_is_tried_until_it_is_taken_and_then_no_more(server: Server, reporter: Reporter) -> None:
    server.up = False
    reporter.report("f1", body("a"))
    wait_until(lambda: server.tries >= 3)
    server.up = True
    wait_until(lambda: bool(server.taken))
    time.sleep(0.2)
    assert server.taken == [body("a")]


def test_the_newest_report_of_a_fault_replaces_the_one_that_waits(server: Server, reporter: Reporter) -> None:
    server.up = False
    reporter.report("f1", body("a"))
    wait_until(lambda: server.tries >= 1)
    reporter.report("f1", body("a", HEALED))
    server.up = True
    wait_until(lambda: bool(server.taken))
    time.sleep(0.2)
    assert server.taken == [body("a", HEALED)]


def test_a_report_that_changes_while_it_is_sent_is_sent_again(server: Server, reporter: Reporter) -> None:
    server.silent.clear()
    reporter.report("f1", body("a"))
    wait_until(lambda: server.tries == 1)
    reporting = threading.Thread(target=reporter.report, args=("f1", body("a", HEALED)), daemon=True)
    reporting.start()
    reporting.join(10)
    assert not reporting.is_alive()  # it waits for nobody
    server.silent.set()
    wait_until(lambda: len(server.taken) == 2)
    assert server.taken[-1] == body("a", HEALED)


def test_a_report_that_is_refused_for_good_holds_up_no_other(server: Server, reporter: Reporter) -> None:
    server.refused = {"bad"}
    reporter.report("f1", body("bad"))
    wait_until(lambda: server.tries >= 1)
    reporter.report("f2", body("good"))
    wait_until(lambda: server.taken == [body("good")])
    reporter.drop("f1")
    time.sleep(0.1)
    tries = server.tries
    time.sleep(0.2)
    assert server.tries == tries
