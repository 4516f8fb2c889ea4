"""What expires in a cache, on a server that answers as Redis does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from chaoscaplab.caches import actions
from chaoscaplab.clusters import lookup
from chaoslib.exceptions import ActivityFailed
from support.runs.held_runs import begin_run

from caplab.kube.errors import ExecFailed
from caplab.run_context import Event, current_run, release

HOT = "cache/0000abc/readers/0"
NO_LFU = "ERR An LFU maxmemory policy is not selected, access frequency not tracked."


class FakeServer:
    """The primary is cache-1; each script has its reply."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Sequence[str]]] = []
        self.hottest = [f"{HOT} 93 7200", "cache/0000abc/readers/1 80 5000"]
        self.entries = 20
        self.expired = iter((100, 120))
        self.problem = ""

    def get(self, kind: str, _namespace: str, name: str) -> dict[str, Any]:
        return {"kind": kind, "metadata": {"name": name}, "spec": {}, "status": {"primary": "cache-1"}}

    def execute(self, _namespace: str, pod: str, *command: str) -> str:
        _, _, *words = command  # lab-redis-cli -e
        self.asked.append((pod, words))
        if self.problem:
            raise ExecFailed(self.problem)
        return "\n".join(self._answer(words)) + "\n"

    def _answer(self, words: Sequence[str]) -> list[str]:
        match words:
            case ["EVAL", script, "0", "cache/", count] if "OBJECT" in script:
                return self.hottest[: int(count)]
            case ["EVAL", script, "0", "cache/", _] if "PEXPIRE" in script:
                return [f"(integer) {self.entries}"]
            case ["EVAL", script, count, *_] if "PEXPIRE" in script:
                return [f"(integer) {count}"]
            case ["INFO", "stats"]:
                return ["# Stats", f"expired_keys:{next(self.expired)}"]
            case ["DBSIZE"]:
                return [f"(integer) {self.entries}"]
            case ["FLUSHALL", "ASYNC"]:
                return ["OK"]
        raise AssertionError(f"nobody asks {words}")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    fake = FakeServer()
    monkeypatch.setattr(lookup, "Server", lambda _: fake)
    monkeypatch.setattr("chaoscaplab.caches.actions.time.sleep", lambda _: None)
    begin_run("RedisCluster")
    yield fake
    release()


def event() -> Event:
    (only,) = current_run().state.events
    return only


def test_the_hottest_entry_is_found_and_given_a_moment_and_that_is_its_evidence(server: FakeServer) -> None:
    entries = actions.expire_hot_keys("cache", after_seconds=0.5)
    assert entries == [{"key": HOT, "frequency": 93, "remaining_ms": 7200}]
    pod, (*_, count, key, milliseconds) = server.asked[-1]
    assert (pod, count, key, milliseconds) == ("cache-1", "1", HOT, "500")
    assert event().evidence == (f"{HOT} (LFU 93) had 7200 ms left, and got 0.5 s",)
    assert event().proven


def test_it_is_done_as_often_and_to_as_many_as_is_asked_for(server: FakeServer) -> None:
    entries = actions.expire_hot_keys("cache", count=2, times=3)
    assert [entry["frequency"] for entry in entries] == [93, 80] * 3
    assert len(event().evidence) == 3


def test_without_any_time_left_an_entry_still_expires_and_is_not_deleted(server: FakeServer) -> None:
    actions.expire_hot_keys("cache", after_seconds=0)
    assert server.asked[-1][1][-1] == "1"


def test_all_entries_expire_at_one_moment_and_the_server_counts_them(server: FakeServer) -> None:
    assert actions.expire_many("cache") == {"entries": 20, "expired": 20}
    assert event().evidence == ("20 entries got 0.5 s; by the server's own count 20 keys expired",)


def test_a_cache_is_emptied(server: FakeServer) -> None:
    assert actions.empty_cache("cache") == {"keys": 20}
    assert [words for _, words in server.asked] == [["DBSIZE"], ["FLUSHALL", "ASYNC"]]
    assert event().evidence == ("20 keys were removed",)


@pytest.mark.parametrize("action", [actions.expire_hot_keys, actions.expire_many, actions.empty_cache])
def test_where_nothing_is_cached_nothing_is_proven(server: FakeServer, action: Any) -> None:
    server.entries, server.hottest = 0, []
    with pytest.raises(ActivityFailed, match=r"cache-1 has no entries\. Hint: start readers first"):
        action("cache")
    assert not event().proven


def test_a_cache_that_counts_no_reads_says_so(server: FakeServer) -> None:
    server.problem = NO_LFU
    with pytest.raises(ActivityFailed, match="An LFU maxmemory policy is not selected"):
        actions.expire_hot_keys("cache")


def test_only_a_redis_is_a_cache(server: FakeServer) -> None:
    with pytest.raises(ActivityFailed, match=r"A PostgresCluster is not a cache\. Hint: name a RedisCluster"):
        actions.empty_cache("pg", kind="PostgresCluster")
