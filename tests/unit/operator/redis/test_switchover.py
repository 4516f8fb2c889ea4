"""A switchover: writes held back, everybody caught up, another made primary, the old one and its clients sent on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from caplab_operator.engines.pods import Pod
from caplab_operator.engines.redis import observe
from caplab_operator.engines.redis.observe import Member, ObservedRedis, Place, Sentinel
from caplab_operator.engines.redis.spec import Failover, RedisSpec
from caplab_operator.handlers.redis import switchover as redis_switchover
from caplab_operator.handlers.redis.switchover import switch_over

TIMES = Failover(
    down_after_milliseconds=1000,
    failover_timeout_milliseconds=6000,
    restarted_primary="WaitForDecision",
    fast_path=False,
)
SPEC = RedisSpec(
    name="rd", namespace="demo", uid="u", generation=1, replicas=2, sentinels=1, persistence="everysec",
    min_replicas_to_write=0, min_replicas_max_lag_seconds=10, failover=TIMES,
    max_memory_bytes=1, eviction_policy="noeviction", storage_size="1Gi", keep_volumes=False, memory_request="64Mi",
    cpu_request="50m", parameters={},
)  # fmt: skip


def pod(name: str) -> Pod:
    return Pod(
        name=name, namespace="demo", uid=name, node="n", zone="a", address="10.0.0.1", revision="r", files="",
        ready=True, terminating=False,
    )  # fmt: skip


PLACE = Place((pod("rd-0"), pod("rd-1")), (pod("rd-sentinel-0"),), "pw")


@dataclass(kw_only=True)
class Cluster:
    """Two members and a Sentinel: the replica gains on each look, and is promoted two looks after it was asked for."""

    lag: int = 2
    promotes: bool = True
    refuses: str = ""
    fails_over: bool = False  # the Sentinel says that it goes on with it
    deaf_to: str = ""  # a command that the old primary does not do
    alone: bool = False  # the replica does not answer
    sent: list[str] = field(default_factory=list)
    _looks_to_promotion: int | None = None

    def look(self, _place: Place) -> ObservedRedis:
        self.lag = max(0, self.lag - 1)
        if self._looks_to_promotion:
            self._looks_to_promotion -= 1
        new = self._looks_to_promotion == 0
        old = Member(
            is_master=True, replication_id="a", offset=100, follows="", link_up=False, loading=False, settings={}
        )
        other = Member(
            is_master=new,
            replication_id="b",
            offset=100 - self.lag,
            follows="" if new else "rd-0",
            link_up=not new,
            loading=False,
            settings={},
        )
        names = "rd-1" if new else "rd-0"
        flags = frozenset({"master", "failover_in_progress"} if self.fails_over else {"master"})
        sentinel = Sentinel(names=names, flags=flags, replicas=(), others=0, settings={}, periods={})
        members = {"rd-0": old} if self.alone else {"rd-0": old, "rd-1": other}
        return ObservedRedis(place=PLACE, began=0.0, members=members, sentinels={"rd-sentinel-0": sentinel})

    def send_to_member(self, _place: Place, to: Pod, commands: Sequence[Sequence[str]]) -> list[str]:
        self.sent += [f"{to.name} {' '.join(command)}" for command in commands]
        deaf = self.deaf_to and any(" ".join(command).startswith(self.deaf_to) for command in commands)
        return ["timed out"] if deaf else []

    def send_to_sentinel(self, _place: Place, _to: Pod, commands: Sequence[Sequence[str]]) -> list[str]:
        self.sent += [" ".join(command) for command in commands]
        if self.refuses:
            return [self.refuses]
        assert self.lag == 0, "the Sentinel chose among replicas that lacked writes"
        self._looks_to_promotion = 2 if self.promotes else None
        return []


def carry_out(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, step_seconds: float
) -> tuple[bool, list[ObservedRedis]]:
    for name in ("look", "send_to_member", "send_to_sentinel"):
        monkeypatch.setattr(observe, name, getattr(cluster, name))
    monkeypatch.setattr(redis_switchover, "_CATCH_UP_SECONDS", step_seconds)
    monkeypatch.setattr(redis_switchover, "_SWITCHOVER_SECONDS", step_seconds)
    monkeypatch.setattr(redis_switchover, "_FOLLOW_SECONDS", step_seconds)
    monkeypatch.setattr(redis_switchover, "_SERVICES_FOLLOW_SECONDS", 0)
    shown: list[ObservedRedis] = []
    began = replace(cluster.look(PLACE), began=0.0)
    return switch_over(SPEC, began, PLACE.sentinels[0], shown.append), shown


PAUSE, UNPAUSE = "rd-0 CLIENT PAUSE 30000 WRITE", "rd-0 CLIENT UNPAUSE"
FAILOVER = "SENTINEL FAILOVER caplab"


def test_no_write_is_taken_from_before_the_choice_until_the_old_primary_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(lag=4)
    done, shown = carry_out(monkeypatch, cluster, step_seconds=30)
    assert done
    assert cluster.sent == [
        PAUSE,
        FAILOVER,
        "rd-0 REPLICAOF rd-1.rd-members.demo.svc.cluster.local 6379",
        "rd-0 CONFIG REWRITE",
        "rd-0 CLIENT KILL TYPE normal",
        "rd-0 CLIENT KILL TYPE normal",  # those who came back before the Services led elsewhere
        UNPAUSE,
    ]
    assert shown, "nobody could have the Services follow"


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        (Cluster(lag=10_000), [PAUSE, UNPAUSE]),
        (Cluster(lag=0, alone=True), [PAUSE, UNPAUSE]),
        (Cluster(refuses="NOGOODSLAVE No suitable replica to promote"), [PAUSE, FAILOVER, UNPAUSE]),
        (Cluster(promotes=False), [PAUSE, FAILOVER, UNPAUSE]),
        (Cluster(deaf_to="CLIENT PAUSE"), [PAUSE]),
    ],
    ids=[
        "a replica does not catch up",
        "no replica answers",
        "the Sentinel refuses",
        "nobody is promoted",
        "writes are not held back",
    ],
)
def test_where_it_does_not_come_to_that_the_primary_takes_writes_again(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, expected: list[str]
) -> None:
    done, _ = carry_out(monkeypatch, cluster, step_seconds=0.2)
    assert not done
    assert cluster.sent == expected


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(promotes=False, fails_over=True),
        Cluster(refuses="INPROG Failover already in progress", fails_over=True),  # somebody else's
        Cluster(refuses="timed out", fails_over=True),  # it may have begun all the same
        Cluster(deaf_to="REPLICAOF"),
    ],
    ids=["it goes on", "another began it", "the Sentinel does not answer", "the old primary does not follow"],
)
def test_writes_stay_held_back_while_another_may_become_primary(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    done, _ = carry_out(monkeypatch, cluster, step_seconds=0.2)
    assert not done
    assert UNPAUSE not in cluster.sent
    assert cluster.sent.count(FAILOVER) == 1
