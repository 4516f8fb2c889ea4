"""A cluster under test is brought to a proven steady state; one that does not come back is made anew."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from chaoscaplab.clusters import postgres, provision
from chaoscaplab.clusters.provision import Cluster
from chaoscaplab.waiting import NotInTime
from support.objects.fake_objects import of_run

from caplab.run_context import RunContext


class FakeServer:
    """A cluster whose replica never catches up, until it is made anew (where that helps)."""

    def __init__(self, there: bool, broken: bool, helps: bool = True) -> None:
        self.there, self.broken, self.helps = there, broken, helps
        self.done: list[str] = []
        self.run = RunContext(folder=Path("results"))
        self.going = 0  # looks until what was deleted is gone

    def open_namespace(self, _namespace: str) -> None: ...

    def create(self, kind: str, namespace: str, name: str, _spec: Any) -> Any:
        self.done.append("create")
        self.there, self.broken = True, self.broken and not self.helps
        return self.get(kind, namespace, name)

    def replace(self, _kind: str, body: Any, _spec: Any) -> Any:
        self.done.append("change")
        return body

    def remove(self, _kind: str, _body: Any) -> None:
        self.done.append("delete")
        self.there, self.going = False, 2

    def get(self, _kind: str, _namespace: str, name: str) -> Any:
        status = {"observedGeneration": 1, "phase": "Ready", "readyMembers": 1, "primary": "pg-0"}
        metadata = {"namespace": "runs", "name": name, "uid": "u", "generation": 1}
        spec = {"replicas": 1, "durability": "async", "failover": {}}
        body = {"metadata": metadata, "spec": spec, "status": {**status, "durability": "async"}}
        return of_run(body) if self.there else None

    def pods(self, _namespace: str, _selector: str) -> list[Any]:
        self.going = max(0, self.going - 1)
        return [{"metadata": {"name": "pg-0"}, "status": {"containerStatuses": []}}] if self.there or self.going else []

    def volumes(self, _namespace: str, _selector: str) -> list[Any]:
        return []


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provision, "_BACK_SECONDS", 0.0)
    monkeypatch.setattr(postgres, "READY_SECONDS", 0.0)
    monkeypatch.setattr(postgres, "settings_in_force", lambda *_: {"ttlSeconds": 20})
    monkeypatch.setattr(postgres, "differences", lambda *_: [])
    monkeypatch.setattr(
        postgres, "not_caught_up", lambda server, *_: "pg-2 waits for what nobody has" if server.broken else ""
    )


def brought_up(server: Any) -> dict[str, Any]:
    return Cluster(server=server, engine=postgres, namespace="runs", name="pg", spec={"replicas": 1}).provision()[1]


def test_a_cluster_that_comes_back_by_itself_stays() -> None:
    server = FakeServer(there=True, broken=False)
    assert brought_up(server) == {"ttlSeconds": 20}
    assert server.done == ["change"]


def test_a_cluster_that_does_not_come_back_is_made_anew_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    server = FakeServer(there=True, broken=True)
    with caplog.at_level(logging.WARNING, "caplab.run"):
        brought_up(server)
    assert server.done == ["change", "delete", "create"]
    assert "pg is steady: pg-2 waits for what nobody has. It is recreated." in caplog.text


def test_a_cluster_that_does_not_come_up_even_so_is_a_failure_of_the_lab() -> None:
    server = FakeServer(there=True, broken=True, helps=False)
    with pytest.raises(NotInTime, match="pg-2 waits for what nobody has"):
        brought_up(server)
    assert server.done == ["change", "delete", "create"]
