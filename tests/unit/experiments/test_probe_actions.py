"""Clocks that are wrong: only loads that run with one are evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chaoscaplab.probes import actions
from chaoslib.exceptions import ActivityFailed
from support.objects.fake_objects import of_run
from support.runs.held_runs import begin_run

from caplab.run_context import current_run, release


def probe(phase: str = "Running", **client: Any) -> dict[str, Any]:
    vantages = [{"name": zone, "phase": phase} for zone in "abc"]
    return {
        **of_run({"metadata": {"name": "register-1"}}),
        "spec": {
            "target": {"kind": "CassandraCluster", "name": "cs"},
            "workload": "register",
            "rate": 1,
            "vantages": list("abc"),
            "runId": "r-1",
            "client": client,
        },
        "status": {"vantages": vantages},
    }


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    objects: list[dict[str, Any]] = []

    class FakeServer:
        def list(self, _kind: str, _namespace: str) -> list[dict[str, Any]]:
            return objects

    monkeypatch.setattr(actions, "Server", lambda _: FakeServer())
    begin_run("CassandraCluster", "r-1", "ns")
    yield objects
    release()


def test_a_load_with_a_wrong_clock_is_the_evidence(probes: list[dict[str, Any]]) -> None:
    probes += [
        probe(clockSkewMilliseconds=-5000, skewedVantages=["c"]),
        probe(),
        {"metadata": {"name": "new"}, "spec": {}},
    ]
    probes.append({**probe(clockSkewMilliseconds=-9000), "metadata": {"name": "theirs"}})
    sentences = ["the clocks of the clients of register-1 in zone c are -5000 ms off"]
    assert actions.skewed_clocks(0) == sentences
    (event,) = current_run().state.events
    assert (event.kind, event.evidence, event.proven) == ("clock skew", tuple(sentences), True)


@pytest.mark.parametrize(
    "body", [probe(), probe(clockSkewMilliseconds=0), probe("Failed", clockSkewMilliseconds=-5000), None]
)
def test_without_such_a_load_there_is_no_fault(probes: list[dict[str, Any]], body: dict[str, Any] | None) -> None:
    probes += [body] if body else []
    with pytest.raises(ActivityFailed, match="No load runs with a wrong clock"):
        actions.skewed_clocks(0)
    assert current_run().state.events == []
