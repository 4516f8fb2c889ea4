"""Two runs in one namespace: the second waits, takes what a dead one left, and says whose it is where it may not."""

from __future__ import annotations

from typing import Any

import pytest

from caplab import run_lease
from caplab.kube.errors import Conflict
from caplab.run_lease import LeaseNotHeld, RunLease


class FakeServer:
    """One lease, with the API server's own check of versions."""

    def __init__(self) -> None:
        self.held: tuple[str, str, str] = ("", "", "")
        self.renewals = 0
        self.race: str = ""  # who is faster, once

    def lease(self, _namespace: str, _name: str) -> tuple[str, str, str]:
        return self.held

    def write_lease(self, _namespace: str, _name: str, holder: str, version: str) -> None:
        if self.race:
            holder, self.race, version = self.race, "", self.held[2]
            self._hold(holder)
            raise Conflict
        if version != self.held[2]:
            raise Conflict
        self._hold(holder)

    def _hold(self, holder: str) -> None:
        self.renewals += 1
        self.held = (holder, f"t{self.renewals}", str(self.renewals))

    def delete_lease(self, _namespace: str, _name: str, version: str) -> None:
        assert version == self.held[2]
        self.held = ("", "", "")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lease, "_RENEW_SECONDS", 0.01)
    monkeypatch.setattr(run_lease, "DEAD_SECONDS", 0.5)
    monkeypatch.setattr(run_lease, "_ACQUIRE_SECONDS", 1.0)


def lease_of(server: Any, run_id: str) -> RunLease:
    return RunLease(server, "ns", run_id)


def test_who_begins_has_it_keeps_it_and_gives_it_back() -> None:
    server = FakeServer()
    mine = lease_of(server, "r-1")
    mine.acquire()
    assert server.held[0] == "r-1"
    renewals = server.renewals
    while server.renewals < renewals + 3:
        pass
    mine.release()
    assert server.held[0] == ""
    mine.release()  # safe to repeat
    lease_of(server, "r-3").release()  # and where it never began


def test_the_second_is_told_whose_it_is_and_what_to_do() -> None:
    server = FakeServer()
    first = lease_of(server, "r-1")
    first.acquire()
    with pytest.raises(LeaseNotHeld, match=r"The run r-1 is under way in ns\. Hint: .*--set namespace=NAME"):
        lease_of(server, "r-2").acquire()
    assert server.held[0] == "r-1"
    first.release()
    second = lease_of(server, "r-2")
    second.acquire()
    assert server.held[0] == "r-2"
    second.release()


def test_what_a_dead_run_left_is_free_once_it_was_not_renewed_for_long_enough() -> None:
    server = FakeServer()
    server.held = ("r-dead", "long ago", "7")
    second = lease_of(server, "r-2")
    second.acquire()
    assert server.held[0] == "r-2"
    second.release()


def test_of_two_that_take_it_at_once_one_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    server.race = "r-faster"
    monkeypatch.setattr(run_lease, "_ACQUIRE_SECONDS", 0.3)
    monkeypatch.setattr(run_lease, "DEAD_SECONDS", 60.0)  # it is never sure that the other one is dead
    with pytest.raises(LeaseNotHeld, match="The run r-faster is under way"):
        lease_of(server, "r-2").acquire()


def test_one_that_was_taken_for_dead_knows_it_robs_nobody_and_leaves_the_lease_to_its_holder() -> None:
    server = FakeServer()
    mine = lease_of(server, "r-1")
    assert "does not hold the namespace ns" in mine.problem()
    mine.acquire()
    assert mine.problem() == ""
    server.held = ("r-2", "just now", "77")
    while mine._thread is not None and mine._thread.is_alive():
        pass
    assert mine.problem() == "the namespace ns is now held by r-2"
    server.held = ("r-1", "later", "78")
    assert mine.problem() == "the namespace ns is now held by r-2"  # what was lost was lost
    server.held = ("r-2", "later", "79")
    mine.release()
    assert server.held == ("r-2", "later", "79")


def test_a_lease_that_somebody_deleted_is_taken_again() -> None:
    server = FakeServer()
    mine = lease_of(server, "r-1")
    mine.acquire()
    server.held = ("", "", "")
    while server.held[0] != "r-1":
        pass
    assert mine.problem() == ""
    mine.release()
