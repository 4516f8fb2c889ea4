"""All members of a Redis start at once: the one with the most data leads, and nobody's data is thrown away for less."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from caplab_redis_member import config as config_module
from caplab_redis_member import publishing, startup
from caplab_redis_member.config import MemberConfig
from caplab_redis_member.publishing import RECORD, published
from caplab_redis_member.record import Record, read_record
from caplab_redis_member.startup import (
    RECORDS_TIMEOUT_SECONDS,
    ClusterView,
    Start,
    Startup,
    Wait,
    choose_primary,
    decide,
)
from caplab_wire import resp
from support.databases.redis_member import CONFIG, HOSTS, SENTINELS, FakeCluster, Member, fake_cluster, promote

R0, R1, R2 = HOSTS
NEW = replace(CONFIG, bootstrap=True)
LATE = RECORDS_TIMEOUT_SECONDS


def record(host: str, follows: str = R0, since: float = 10.0, offset: int = 100, has_data: bool = True) -> Record:
    return Record(host=host, follows=follows, since=since, offset=offset, has_data=has_data)


def empty_record(host: str) -> Record:
    return Record(host=host)


@pytest.mark.parametrize(
    ("records", "named", "chosen"),
    [
        # the primary, though replicas may seem further: their files begin elsewhere, and they have nothing it has not
        ([record(R0), record(R1, offset=900), record(R2, offset=500)], R0, R0),
        ([record(R0, follows=R2), record(R1, follows=R2), record(R2, follows=R2)], R0, R2),
        # it lost its disk, or is away: the replica that got furthest
        ([empty_record(R0), record(R1, offset=900), record(R2, offset=500)], R0, R1),
        ([record(R0, has_data=False), record(R1, offset=500), record(R2, offset=900)], R0, R2),
        ([record(R1, offset=500), record(R2, offset=900)], R0, R2),
        ([record(R1), record(R2)], R1, R1),  # both have the same: whom the Sentinels name needs no failover
        # two think they were primary: one was promoted when the other was lost
        ([record(R0, since=10), record(R1, follows=R1, since=20), record(R2, follows=R1, since=21)], R0, R1),
        ([record(R0, since=30), record(R1, follows=R1, since=20)], R1, R0),
        # the last primary is away: not one that was primary before it, but who followed it
        ([record(R0, since=10, offset=900), record(R1, follows=R2, since=21)], R0, R1),
        # nobody has anything
        ([empty_record(R0), empty_record(R1), empty_record(R2)], R2, R2),
        ([empty_record(R1), empty_record(R0)], None, R0),
        ([empty_record(R2), empty_record(R1)], None, R1),
        # a file of data without a word on who was primary
        ([Record(host=R1, offset=5, has_data=True), empty_record(R0)], R0, R1),
        # the latest word is of somebody who is no member (any more), and so is none
        ([record(R0, since=10, offset=5), record(R1, follows="elsewhere", since=20, offset=900)], R0, R0),
        ([record(R1, follows="elsewhere", offset=5), record(R0, follows="elsewhere", offset=9)], R1, R0),
    ],
)
def test_the_one_with_the_most_data_is_chosen_whatever_the_order(
    records: list[Record], named: str | None, chosen: str
) -> None:
    assert choose_primary(records, named, R0, HOSTS) == chosen
    assert choose_primary(records[::-1], named, R0, HOSTS) == chosen


def view_of(own: Record, *others: Record, named: str | None = R0, decided: bool = False, **roles: str) -> ClusterView:
    running = {HOSTS[int(number.strip("_"))]: role for number, role in roles.items()}
    return ClusterView(
        named=named, decided=decided, roles=running, records={each.host: each for each in (own, *others)}
    )


def decision(host: str, view: ClusterView, config: MemberConfig = CONFIG, waited: float = 0.0) -> Start | str:
    step = decide(replace(config, host=host), view, waited)
    return step.why if isinstance(step, Wait) else step


ALL = [record(R0), record(R1), record(R2)]


def view_of_all(host: str, records: list[Record] = ALL, **view: object) -> ClusterView:
    own = next(each for each in records if each.host == host)
    return view_of(own, *(each for each in records if each.host != host), **view)  # type: ignore[arg-type]


def test_the_primary_that_is_named_and_has_most_starts_and_the_others_wait_for_it_and_follow() -> None:
    assert decision(R0, view_of_all(R0)) == Start(R0, True)
    assert decision(R1, view_of_all(R1)) == f"{R0}, which has the most data, to become primary"
    assert decision(R1, view_of(record(R1), record(R2), _0="master")) == Start(R0, True)


def test_one_that_is_chosen_and_not_named_starts_alone_for_the_sentinels_to_promote_it() -> None:
    lost = [empty_record(R0), record(R1, offset=900), record(R2, offset=500)]
    assert decision(R1, view_of_all(R1, lost)) == Start(R0, False)
    assert "which has the most data" in str(decision(R0, view_of_all(R0, lost)))
    assert "which has the most data" in str(decision(R2, view_of_all(R2, lost)))
    # it runs: the one that is named waits until it no longer is
    assert "to name another" in str(decision(R0, view_of(empty_record(R0), record(R2), _1="slave")))
    assert decision(R0, view_of(empty_record(R0), record(R2), named=R1, _1="master")) == Start(R1, True)


def test_nobody_starts_as_primary_whom_no_majority_of_sentinels_names() -> None:
    assert decision(R0, view_of_all(R0, named=None)) == "the Sentinels"
    assert decision(R0, view_of(record(R0), named=None), waited=1e6) == "the Sentinels"


def test_those_that_are_missing_are_waited_for_but_not_for_ever() -> None:
    early = view_of(record(R1), record(R2))
    assert decision(R1, early) == f"{R0} to publish their records"
    assert decision(R1, early, waited=LATE) == f"{R2}, which has the most data, to become primary"
    assert decision(R2, view_of(record(R2), record(R1)), waited=LATE) == Start(R0, False)
    assert decision(R1, early, waited=2 * LATE) == Start(R0, False), "the chosen one can't start"


def test_a_primary_that_sentinels_promoted_need_not_wait_for_who_can_only_have_less() -> None:
    promoted = view_of(record(R0), decided=True)
    assert decision(R0, promoted) == Start(R0, True)
    assert "to publish their records" in str(decision(R0, view_of(record(R0))))
    assert "to publish their records" in str(decision(R0, view_of(record(R0, follows=R1), decided=True)))


def test_who_has_nothing_never_leads_those_that_may_have_something() -> None:
    empty = view_of(empty_record(R0))
    for waited in (0.0, LATE, 100 * LATE):
        assert "to publish their records" in str(decision(R0, empty, waited=waited))
        assert "to publish their records" in str(decision(R0, empty, NEW, waited=waited))
    nothing_is_kept = replace(CONFIG, persistence="none")
    assert decision(R0, empty, nothing_is_kept, waited=LATE) == Start(R0, True)


def test_a_new_cluster_begins_with_its_first_member_and_a_kept_volume_is_found_whoever_has_it() -> None:
    new = [empty_record(R0), empty_record(R1), empty_record(R2)]
    assert decision(R0, view_of_all(R0, new, named=None), NEW) == Start(R0, True)
    assert decision(R1, view_of_all(R1, new, named=None), NEW) == f"{R0}, which has the most data, to become primary"
    assert decision(R1, view_of(empty_record(R1), named=None, _0="master"), NEW) == Start(R0, True)
    kept = [empty_record(R0), empty_record(R1), record(R2, follows=R2)]
    assert decision(R0, view_of_all(R0, kept), NEW) == f"{R2}, which has the most data, to become primary"
    assert decision(R2, view_of_all(R2, kept), NEW) == Start(R0, False)
    assert "to publish" in str(decision(R2, view_of(record(R2, follows=R2)), NEW, waited=1e6))


def test_beside_others_that_run_the_sentinels_decide() -> None:
    crashed = view_of(record(R0), _1="slave", _2="slave")
    assert "to name another" in str(decision(R0, crashed, waited=1e6))
    assert decision(R0, crashed, replace(CONFIG, come_back=True)) == Start(R0, False)
    restarted = view_of(record(R1), _2="slave")
    assert "to name another" in str(decision(R1, restarted))
    assert decision(R1, restarted, waited=LATE) == Start(R0, False)
    assert decision(R1, view_of(record(R1), named=None, _0="master")) == Start(R0, True)


def test_nobody_follows_a_primary_that_is_just_being_replaced() -> None:
    replaced = replace(view_of(record(R1), _0="master"), being_replaced=frozenset({R0}))
    assert "to name another" in str(decision(R1, replaced))
    assert decision(R1, replace(replaced, named=R2, roles={R2: "master"})) == Start(R2, True)


def test_nobody_follows_a_primary_before_every_sentinel_has_seen_that_it_is_up() -> None:
    """One that considers it down would begin a failover, and find a replica that has less than the primary."""
    unseen = replace(view_of(record(R1), _0="master"), considered_down=frozenset({R0}))
    assert decision(R1, unseen) == f"the Sentinels to see that {R0} is up"
    assert decision(R1, replace(unseen, considered_down=frozenset({R2}))) == Start(R0, True)
    assert decision(R1, replace(unseen, primary_for={R0: 9.9}), waited=100) == f"the Sentinels to see that {R0} is up"
    assert decision(R1, replace(unseen, primary_for={R0: 10.0})) == Start(R0, True), "one is cut off from it"


def test_the_only_member_asks_nobody() -> None:
    assert decision(R0, view_of(record(R0), named=None), replace(CONFIG, members=(R0,))) == Start(R0, True)


def startup_in(monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, own: Record) -> tuple[Start, list[str]]:
    logged: list[str] = []
    monkeypatch.setattr(config_module, "ask", cluster.ask)
    config = replace(CONFIG, host=own.host)
    return Startup(
        load_config=lambda: config, record=own, log=logged.append, clock=cluster.clock, pause=cluster.pause
    ).run(), logged


def test_a_named_member_without_data_has_the_chosen_one_promoted_and_follows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def comes_up(now: FakeCluster) -> None:
        if now.now > 1 and R1 in now.records:
            del now.records[R1]
            now.members[R1] = Member(R0, linked=False)

    records = {R1: json.dumps(asdict(record(R1))), R2: json.dumps(asdict(record(R2, offset=5)))}
    cluster = fake_cluster({}, each_pause=comes_up, on_failover=promote(R1), records=records)
    start, logged = startup_in(monkeypatch, cluster, empty_record(R0))
    assert start == Start(R1, True)
    assert cluster.commands == ["SENTINEL FAILOVER caplab"]
    assert logged[0] == f"waiting for {R1}, which has the most data, to become primary"


def test_a_crashed_primary_hurries_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentinels keep their own time where others run."""

    def later(now: FakeCluster) -> None:
        if now.now > 5:
            promote(R1)(now)

    cluster = fake_cluster({R1: Member(R0), R2: Member(R0)}, each_pause=later)
    start, logged = startup_in(monkeypatch, cluster, record(R0))
    assert (start, cluster.commands) == (Start(R1, True), [])
    assert logged == [f"waiting for the Sentinels to name another primary (they name: {R0})"]


def test_one_that_was_chosen_and_is_just_starting_is_not_taken_for_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither publishes its record nor listens: a replica that started now might be promoted in its place."""

    def starts(now: FakeCluster) -> None:
        if now.now > LATE - 1:
            now.records.pop(R0, None)
        if now.now > LATE + 5:
            now.members[R0] = Member()

    records = {R0: json.dumps(asdict(record(R0)))}
    cluster = fake_cluster({}, each_pause=starts, records=records)
    start, _ = startup_in(monkeypatch, cluster, record(R1))
    assert start == Start(R0, True)


def test_how_long_a_primary_has_been_up_counts_from_when_it_was_seen_and_not_from_the_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All start at once, and the Sentinels too: they consider the primary down when it comes up; one never sees it."""

    def comes_up(now: FakeCluster) -> None:
        if now.now > 20:
            now.members.setdefault(R0, Member())

    cluster = fake_cluster({}, each_pause=comes_up, records={R2: json.dumps(asdict(record(R2)))}, flags="master,s_down")
    start, logged = startup_in(monkeypatch, cluster, record(R1))
    assert start == Start(R0, True)
    assert logged[-1] == f"waiting for the Sentinels to see that {R0} is up"
    assert cluster.now >= 30


@pytest.mark.parametrize(
    ("names", "epoch", "named", "decided"),
    [
        ([R1, R1, R0], 0, R1, False),
        ([R1, R1, R0], 3, R1, True),
        ([R1, R0], 3, None, False),  # no majority
        (["10.0.0.9", "10.0.0.9", "10.0.0.9"], 3, None, False),  # nobody's name
    ],
)
def test_an_observation_takes_sentinels_for_what_their_majority_says(
    monkeypatch: pytest.MonkeyPatch, names: list[str], epoch: int, named: str | None, decided: bool
) -> None:
    cluster = replace(fake_cluster({R1: Member()}), config_epoch=epoch)
    cluster.names = dict(zip(SENTINELS, names, strict=False))
    cluster.records = {R1: json.dumps(asdict(record(R1))), R2: "{}"}
    monkeypatch.setattr(config_module, "ask", cluster.ask)
    with ThreadPoolExecutor(8) as pool:
        view = startup.observe(CONFIG, record(R0), pool)
    assert (view.named, view.decided) == (named, decided)
    assert not view.being_replaced
    assert not view.considered_down
    cluster.flags = "master,o_down,failover_in_progress"
    with ThreadPoolExecutor(8) as pool:
        failing_over = startup.observe(CONFIG, record(R0), pool)
    assert failing_over.being_replaced == failing_over.considered_down == frozenset(names)
    assert view.roles == {R1: "master"}
    assert view.records == {R0: record(R0)}, "who runs, and who says nonsense, is not among the records"


MANIFEST = (
    "file appendonly.aof.3.base.rdb seq 3 type b\nfile appendonly.aof.2.incr.aof seq 2 type h startoffset 9\n"
    "file appendonly.aof.3.incr.aof seq 3 type i startoffset 700"
)


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., Path]:
    def made(conf: str | None, manifest: str | None, size: int = 0) -> Path:
        folder = tmp_path / "appendonlydir"
        folder.mkdir()
        (folder / "appendonly.aof.3.incr.aof").write_bytes(b"x" * size)
        if manifest is not None:
            (folder / "appendonly.aof.manifest").write_text(manifest)
        if conf is not None:
            (tmp_path / "redis.conf").write_text(conf)
            os.utime(tmp_path / "redis.conf", (1234, 1234))
        return tmp_path

    return made


@pytest.mark.parametrize(
    ("conf", "manifest", "size", "expected"),
    [
        (None, None, 0, empty_record(R1)),
        ("port 6379\n", MANIFEST, 50, record(R1, R1, 1234.0, 750)),
        (f"port 6379\nreplicaof {R0} 6379\n", MANIFEST + " endoffset 801\n", 50, record(R1, R0, 1234.0, 801)),
        (f"replicaof {R2} 6379\nreplicaof {R0} 6379\n", "file a seq 1 type b\n", 0, record(R1, R0, 1234.0, 0)),
        ("port 6379\n", None, 0, record(R1, R1, 1234.0, 0, has_data=False)),
        ("port 6379\n", "", 0, record(R1, R1, 1234.0, 0, has_data=False)),
    ],
    ids=["never ran", "crashed", "ended in good order", "only a base", "no file", "an empty manifest"],
)
def test_a_member_reads_from_its_disk_what_it_has_and_what_it_was(
    data: Callable[..., Path], conf: str | None, manifest: str | None, size: int, expected: Record
) -> None:
    folder = data(conf, manifest, size)
    assert read_record(folder, R1, keeps=True) == expected
    assert read_record(folder, R1, keeps=False) == replace(expected, has_data=False, offset=0)


def test_what_is_published_is_read_by_who_knows_the_password_only() -> None:
    with published('{"host": "x"}', "secret", 0, "127.0.0.1") as port:
        assert resp.ask("127.0.0.1", port, "secret", (RECORD,)) == ['{"host": "x"}']
        with pytest.raises(resp.Refusal, match="WRONGPASS"):
            resp.ask("127.0.0.1", port, "wrong", (RECORD,))
        for nonsense in (b"GET / HTTP/1.0\r\n\r\n", b"*9999999\r\n", b"*1\r\n$6\r\nRECORD\r\n", b"*1\r\n$-1\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(nonsense)
                connection.shutdown(socket.SHUT_WR)
                assert connection.makefile("rb").read() in (b"", b"-NOPERM\r\n")
    with pytest.raises(OSError, match="refused"):
        resp.ask("127.0.0.1", port, "secret", (RECORD,))


@pytest.mark.parametrize("drip", [b"*", b"1", b"*1\r\n$6\r\nRECORD\r\n"])
def test_a_client_that_sends_a_byte_at_a_time_is_cut_off(drip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_WHOLE_SECONDS", 0.3)
    with published("{}", "secret", 0, "127.0.0.1") as port, socket.create_connection(("127.0.0.1", port), 5) as client:
        end = time.monotonic() + 15
        with pytest.raises(ConnectionError):  # noqa: PT012  # the client learns of it while it sends
            while time.monotonic() < end:
                client.sendall(drip)
                time.sleep(0.05)
