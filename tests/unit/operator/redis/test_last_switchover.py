"""A primary whose pod is told to go: a switchover in good order, or what can't be done is left in time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from caplab_operator.engines.redis import manifests
from caplab_redis_member import config as config_module
from caplab_redis_member import switchover
from caplab_redis_member.switchover import Switchover
from caplab_wire import resp
from support.databases.fake_redis import fake_redis
from support.databases.redis_member import CONFIG, HOSTS, FakeCluster, Member, fake_cluster, promote, refuse
from support.operator.observed_redis import SPEC

PAUSE = "rd-0 CLIENT PAUSE 60000 WRITE"
FAILOVER = "SENTINEL FAILOVER caplab"
SEND_AWAY = "rd-0 CLIENT KILL TYPE normal"
UNPAUSE = "rd-0 CLIENT UNPAUSE"
FOLLOW = [f"rd-0 REPLICAOF {HOSTS[1]} 6379", "rd-0 CONFIG REWRITE", *[SEND_AWAY] * 5]


def switchover_in(
    monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, *, stays: bool = False, log: switchover.Log = lambda _: None
) -> bool:
    monkeypatch.setattr(config_module, "ask", cluster.ask)
    config = replace(CONFIG, host=HOSTS[0])
    return Switchover(config=config, stays=stays, log=log, clock=cluster.clock, pause=cluster.pause).run()


def test_writes_are_held_back_before_the_choice_and_the_old_primary_follows_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = fake_cluster(on_failover=promote(HOSTS[1]))
    assert switchover_in(monkeypatch, cluster)
    assert cluster.commands == [PAUSE, FAILOVER, *FOLLOW]


def test_nobody_is_chosen_before_the_replicas_have_all_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def gain(now: FakeCluster) -> None:
        now.members[HOSTS[2]].offset = min(100, now.members[HOSTS[2]].offset + 10)

    def chosen(now: FakeCluster) -> None:
        assert now.members[HOSTS[2]].offset == 100
        promote(HOSTS[1])(now)

    members = {HOSTS[0]: Member(), HOSTS[1]: Member(HOSTS[0]), HOSTS[2]: Member(HOSTS[0], offset=40)}
    assert switchover_in(monkeypatch, fake_cluster(members, on_failover=chosen, each_pause=gain))


def test_a_replica_that_never_catches_up_is_not_waited_for_where_another_has_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behind = {HOSTS[0]: Member(), HOSTS[1]: Member(HOSTS[0]), HOSTS[2]: Member(HOSTS[0], offset=40, linked=False)}
    cluster = fake_cluster(behind, on_failover=promote(HOSTS[1]))
    assert switchover_in(monkeypatch, cluster)
    assert 3 < cluster.now < 5, "Sentinels did not have the time to see who has most"


@pytest.mark.parametrize(
    ("cluster", "commands"),
    [
        (fake_cluster({HOSTS[0]: Member()}), []),  # all members go at once
        (fake_cluster({HOSTS[0]: Member(HOSTS[1]), HOSTS[1]: Member(), HOSTS[2]: Member(HOSTS[1])}), []),  # a replica
        (fake_cluster({HOSTS[1]: Member(HOSTS[0]), HOSTS[2]: Member(HOSTS[0])}), []),  # this one does not answer itself
        (
            fake_cluster({**fake_cluster().members, HOSTS[1]: Member(HOSTS[0], 9), HOSTS[2]: Member(HOSTS[0], 9)}),
            [PAUSE],
        ),
        (replace(fake_cluster(), names={}), [PAUSE]),  # no Sentinel answers
    ],
    ids=["alone", "replica", "silent itself", "all behind", "no Sentinels"],
)
def test_what_cannot_be_switched_over_is_left_in_time_and_its_writes_stay_held_back(
    monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, commands: list[str]
) -> None:
    assert not switchover_in(monkeypatch, cluster)
    assert cluster.commands == commands
    assert cluster.now < 11


@pytest.mark.parametrize("refusal", ["NOGOODSLAVE No suitable replica to promote", "ERR no"])
def test_sentinels_that_refuse_are_asked_again_but_not_for_ever(monkeypatch: pytest.MonkeyPatch, refusal: str) -> None:
    cluster = fake_cluster(on_failover=refuse(refusal))
    assert not switchover_in(monkeypatch, cluster)
    assert cluster.commands.count(FAILOVER) > 3
    assert not any("REPLICAOF" in command for command in cluster.commands)


def test_a_failover_that_somebody_else_began_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    def under_way(now: FakeCluster) -> None:
        promote(HOSTS[1])(now)
        refuse("INPROG Failover already in progress")(now)

    cluster = fake_cluster(on_failover=under_way)
    assert switchover_in(monkeypatch, cluster)
    assert cluster.commands[-len(FOLLOW) :] == FOLLOW


STAYING_PAUSE = "rd-0 CLIENT PAUSE 30000 WRITE"


def test_a_member_that_stays_takes_writes_again_once_it_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = fake_cluster(on_failover=promote(HOSTS[1]))
    assert switchover_in(monkeypatch, cluster, stays=True)
    assert cluster.commands == [STAYING_PAUSE, FAILOVER, *FOLLOW, *[SEND_AWAY] * 12, UNPAUSE]


BEHIND = {HOSTS[0]: Member(), HOSTS[1]: Member(HOSTS[0]), HOSTS[2]: Member(HOSTS[0], offset=40)}


@pytest.mark.parametrize(
    ("cluster", "commands", "why"),
    [
        (replace(fake_cluster(), names={}), [], "most Sentinels do not name this member as primary"),
        (fake_cluster(names=HOSTS[1]), [], "most Sentinels do not name this member as primary"),
        (fake_cluster(flags="master,failover_in_progress"), [], "a failover is under way already"),
        (fake_cluster({HOSTS[0]: Member(), HOSTS[1]: Member(HOSTS[0])}), [], "rd-2 is no replica that follows"),
        (fake_cluster(deaf_to=("CLIENT PAUSE",)), [STAYING_PAUSE], "writes could not be held back"),
        (fake_cluster(BEHIND), [STAYING_PAUSE], "no replica has caught up"),
        (fake_cluster(on_failover=refuse("NOGOODSLAVE")), [STAYING_PAUSE], "no Sentinel made another member primary"),
    ],
    ids=["no Sentinels", "another is named", "under way", "a replica is away", "deaf", "behind", "refused"],
)
def test_a_member_that_stays_takes_writes_again_where_nobody_can_have_taken_over(
    monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, commands: list[str], why: str
) -> None:
    told: list[str] = []
    assert not switchover_in(monkeypatch, cluster, stays=True, log=told.append)
    assert [each for each in cluster.commands if each != FAILOVER] == [*commands, *[UNPAUSE] * bool(commands)]
    assert told[-1] == f"not done: {why}"


def under_way(cluster: FakeCluster) -> None:
    cluster.flags = "master,failover_in_progress"


def under_way_and_over(cluster: FakeCluster) -> None:
    under_way(cluster)
    end = cluster.now + 3

    def later(now: FakeCluster) -> None:
        if now.now > end:
            now.flags = "master"

    cluster.each_pause = later


def interrupted(cluster: FakeCluster) -> None:
    under_way(cluster)
    raise KeyboardInterrupt


def unanswered(cluster: FakeCluster) -> None:
    under_way(cluster)
    raise TimeoutError


@pytest.mark.parametrize("happens", [under_way, interrupted, unanswered])
def test_writes_stay_held_back_while_another_may_become_primary(
    monkeypatch: pytest.MonkeyPatch, happens: Callable[[FakeCluster], None]
) -> None:
    cluster, told = fake_cluster(on_failover=happens), list[str]()
    with contextlib.suppress(KeyboardInterrupt):
        assert not switchover_in(monkeypatch, cluster, stays=True, log=told.append)
    assert cluster.commands == [STAYING_PAUSE, FAILOVER]  # one Sentinel was told, once
    assert "a failover may still be under way: writes are held back for up to 30 s more" in told


def test_a_former_primary_that_is_back_is_not_taken_for_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def promote_later(cluster: FakeCluster) -> None:
        cluster.each_pause = promote(HOSTS[1])

    back = {HOSTS[0]: Member(), HOSTS[1]: Member(HOSTS[0]), HOSTS[2]: Member(offset=40)}
    cluster = fake_cluster(back, on_failover=promote_later)
    assert switchover_in(monkeypatch, cluster)
    assert cluster.commands == [PAUSE, FAILOVER, *FOLLOW]


def test_a_failover_that_came_to_nothing_lets_a_member_that_stays_take_writes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = fake_cluster(on_failover=under_way_and_over)
    assert not switchover_in(monkeypatch, cluster, stays=True)
    assert cluster.commands == [STAYING_PAUSE, FAILOVER, UNPAUSE]
    assert 3 < cluster.now < 5


def test_a_member_that_cannot_follow_takes_no_writes_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, told = fake_cluster(on_failover=promote(HOSTS[1]), deaf_to=("REPLICAOF",)), list[str]()
    assert not switchover_in(monkeypatch, cluster, stays=True, log=told.append)
    assert UNPAUSE not in cluster.commands
    assert told[-1] == f"not done: this member does not follow {HOSTS[1]}"


def test_a_replica_that_is_asked_for_a_switchover_says_that_it_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replica = fake_cluster({HOSTS[0]: Member(HOSTS[1]), HOSTS[1]: Member(), HOSTS[2]: Member(HOSTS[1])})
    monkeypatch.setattr(config_module, "ask", replica.ask)
    monkeypatch.setattr(switchover, "load_config", lambda: CONFIG)
    assert switchover.main(now=True) == 1
    assert capsys.readouterr().err == "not done: this member is not a primary with replicas\n"
    assert replica.commands == []


def test_all_of_it_takes_less_than_the_pods_grace() -> None:
    worst = (
        switchover._ONE_CAUGHT_UP_SECONDS
        + 1.5 * switchover._PROMOTED_SECONDS
        + switchover._SERVICES_FOLLOW_SECONDS
        + 4.0  # the last look of each step waits for who is silent
    )
    assert worst <= manifests.GRACE_SECONDS - 3
    template = manifests.members(SPEC, "image", 3)["spec"]["template"]["spec"]
    assert template["terminationGracePeriodSeconds"] == manifests.GRACE_SECONDS
    assert template["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["switchover"]


def test_redis_protocol_is_spoken_and_refusals_are_told_apart_from_silence() -> None:
    async def answers_of(password: str, *commands: tuple[str, ...]) -> list[resp.Answer]:
        async with fake_redis() as fake:
            return await asyncio.to_thread(resp.ask, "127.0.0.1", fake.port, password, *commands)

    answers = asyncio.run(
        answers_of("secret", ("INFO", "replication"), ("GET", "k"), ("INCR", "n"), ("LRANGE", "l", "0", "1"))
    )
    assert resp.information(answers[0])["role"] == "master"
    assert answers[1:] == [None, 1, []]
    with pytest.raises(resp.Refusal, match="WRONGPASS"):
        asyncio.run(answers_of("another"))
    with pytest.raises(OSError, match="refused"):
        resp.ask("127.0.0.1", 1, "secret", ("PING",), seconds=0.5)
    assert resp.pairs(["a", "b"]) == {"a": "b"}


@pytest.mark.parametrize(
    "answer", [b"$99999999\r\n", b"*99999999\r\n", b"!7\r\n", b"$5\r\nab", b"HTTP/1.1 400 Bad\r\n", b""]
)
def test_an_answer_without_a_bound_or_sense_is_silence(answer: bytes) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK\r\n" + answer)
        writer.close()

    async def answers_of() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await asyncio.to_thread(resp.ask, "127.0.0.1", port, "secret", ("PING",))

    with pytest.raises(OSError):  # noqa: PT011
        asyncio.run(answers_of())
