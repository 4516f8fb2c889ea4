"""What a RedisCluster's status says is so: durability by every member's own settings, settings by name, logins."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines.pods import Pod
from caplab_operator.engines.redis import configuration, durability, observe, settings, users
from caplab_operator.engines.redis.observe import Access, Member, ObservedRedis, Place
from caplab_operator.engines.redis.spec import RedisSpec
from caplab_operator.handlers.redis.users import Users, users_of_members
from support.databases.fake_redis import fake_redis
from support.operator.observed_redis import PODS, SPEC, master, observed, replica, sentinel

ALWAYS = replace(SPEC, persistence="always", min_replicas_to_write=1)
HEALTHY_INFO = {
    "aof_enabled": 1, "aof_last_write_status": "ok", "aof_last_bgrewrite_status": "ok", "aof_rewrite_in_progress": 0,
    "aof_rewrite_scheduled": 0, "role": "master", "master_replid": "a", "master_repl_offset": 0, "loading": 0,
}  # fmt: skip


def with_settings(spec: RedisSpec, **changes: str) -> dict[str, str]:
    return {**configuration.directives(spec), **{name.replace("_", "-"): value for name, value in changes.items()}}


def look(spec: RedisSpec = ALWAYS, member: str = "rd-1", trouble: str = "", **changes: str) -> ObservedRedis:
    """All members as the spec has them, but one of them."""
    members: dict[str, Member | None] = {"rd-0": master(settings=with_settings(spec))}
    members |= {name: replica(settings=with_settings(spec)) for name in ("rd-1", "rd-2")}
    odd = members[member]
    assert odd is not None
    members[member] = replace(odd, settings=with_settings(spec, **changes), append_only_trouble=trouble)
    return observed(members)


def test_members_that_all_keep_the_promise_are_what_the_spec_says() -> None:
    assert durability.persistence(ALWAYS, look()) == "always"
    assert durability.applied(ALWAYS, look())[:2] == ("True", "Observed")


@pytest.mark.parametrize("member", ["rd-0", "rd-1", "rd-2"])
@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"appendonly": "no"}, "appendonly is no, not yes"),
        ({"appendfsync": "everysec"}, "appendfsync is everysec, not always"),
        ({"no_appendfsync_on_rewrite": "yes"}, "no-appendfsync-on-rewrite is yes, not no"),
        ({"save": "60 1"}, "save is 60 1, not empty"),
        ({"min_replicas_to_write": "0"}, "min-replicas-to-write is 0, not 1"),
        ({"min_replicas_max_lag": "60"}, "min-replicas-max-lag is 60, not 10"),
    ],
)
def test_one_setting_of_one_member_breaks_the_promise_and_is_named(
    member: str, changes: dict[str, str], differs: str
) -> None:
    cluster = look(ALWAYS, member, **changes)
    assert durability.applied(ALWAYS, cluster) == ("False", "NotInForce", f"{member}: {differs}")
    about_disk = not any(name.startswith("min") for name in changes)
    assert durability.persistence(ALWAYS, cluster) == ("other" if about_disk else "always")


def test_a_member_that_does_not_answer_leaves_the_persistence_unknown() -> None:
    for silent in (observed({"rd-2": None}), observed(pods=PODS[:2]), observed({"rd-2": replica(settings={})})):
        assert durability.persistence(SPEC, silent) == "unknown"
        assert durability.applied(SPEC, silent) == (
            "Unknown", "NoAnswer", "what rd-2 keeps is unknown: no answer",
        )  # fmt: skip
    worse = observed({"rd-2": None, "rd-1": replica(settings=with_settings(SPEC, appendonly="no"))})
    assert durability.applied(SPEC, worse)[0] == "False"


@pytest.mark.parametrize("trouble", ["it is being rewritten", "aof_last_write_status is err"])
def test_an_append_only_file_that_is_not_whole_is_no_promise(trouble: str) -> None:
    cluster = look(ALWAYS, "rd-1", trouble)
    assert durability.persistence(ALWAYS, cluster) == "other"
    assert trouble in durability.applied(ALWAYS, cluster)[2]
    none = replace(SPEC, persistence="none")
    assert durability.persistence(none, look(none, "rd-1", trouble)) == "none"


@pytest.mark.parametrize(
    ("info", "trouble"),
    [
        ({}, ""),
        ({"aof_enabled": 0}, "it is off"),
        ({"aof_rewrite_in_progress": 1}, "it is being rewritten"),
        ({"aof_rewrite_scheduled": 1}, "it is being rewritten"),
        ({"aof_last_write_status": "err"}, "aof_last_write_status is err"),
        ({"aof_last_bgrewrite_status": "err"}, "aof_last_bgrewrite_status is err"),
    ],
)
def test_a_member_tells_itself_what_is_wrong_with_its_append_only_file(info: dict[str, Any], trouble: str) -> None:
    assert observe.member_from({**HEALTHY_INFO, **info}, []).append_only_trouble == trouble


def settings_state(cluster: ObservedRedis, **done: Any) -> tuple[str, str, str]:
    return settings.applied(SPEC, cluster, done.get("refusals", {}), done.get("users", {}), done.get("outdated", ()))


def test_what_waits_for_a_restart_is_told_by_name() -> None:
    waiting = observed({"rd-1": replica(settings=with_settings(SPEC, databases="4"))})
    assert settings_state(waiting, outdated=["rd-0"]) == (
        "False", "WaitsForRestart", "waits for a restart: rd-0; rd-1 (databases)",
    )  # fmt: skip


def test_users_that_somebody_changed_are_named() -> None:
    assert settings_state(observed(), users={"rd-1": ["caplab"]})[1:] == (
        "NotYet",
        "different from the spec: rd-1: users caplab",
    )


def test_who_is_silent_has_settings_that_nobody_knows() -> None:
    state = settings_state(observed({"rd-1": None}, {"rd-sentinel-2": None}))
    assert state == ("Unknown", "NoAnswer", "no answer: rd-1, rd-sentinel-2")
    assert settings_state(observed())[0] == "True"


PASSWORDS = {"operator": "o", "replication": "r", "sentinel": "s", "caplab": "c"}
AS_SET = ("user caplab on #1 ~*", "user default off", "user operator on #2 ~*")


class Members:
    """Members whose users are set, and listed in their own spelling."""

    def __init__(self, refuses: bool = False) -> None:
        self.sent: list[tuple[str, list[str]]] = []
        self.refuses = refuses

    def send(self, _place: Place, pod: Pod, commands: Sequence[Sequence[str]]) -> list[str]:
        self.sent.append((pod.name, [" ".join(command) for command in commands]))
        return ["ERR no"] if self.refuses else []


def hold(monkeypatch: pytest.MonkeyPatch, members: Members) -> None:
    monkeypatch.setattr(observe, "send_to_member", members.send)
    monkeypatch.setattr(observe, "send_to_sentinel", members.send)
    monkeypatch.setattr(observe, "users_of", lambda _place, _pod: AS_SET)


def accesses(**odd: Access) -> ObservedRedis:
    """All have the users they were set to, but those given."""
    well = {name: Access(f"run of {name}", AS_SET) for name in ("rd-0", "rd-1", "rd-2")}
    of = {**well, **{name.replace("_", "-"): access for name, access in odd.items()}}
    sentinels = {f"rd-sentinel-{i}": sentinel(access=Access(f"run of s{i}", AS_SET)) for i in range(3)}
    return observed({name: replica(access=access) for name, access in of.items()}, sentinels)


def test_a_user_who_comes_while_others_are_set_is_removed_in_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    members, held = Members(), Users()
    hold(monkeypatch, members)
    mallory = "user mallory on nopass ~* &* +@all"
    listed = (AS_SET[0], AS_SET[1], mallory, AS_SET[2])
    held.correct(SPEC, accesses(), PASSWORDS)
    changed = Access("run of rd-0", AS_SET[1:])  # caplab is gone, and mallory not there yet
    monkeypatch.setattr(observe, "users_of", lambda _place, _pod: listed)
    members.sent.clear()
    held.correct(SPEC, accesses(rd_0=changed), PASSWORDS)
    assert [name for name, sent in members.sent if "ACL DELUSER mallory" in sent] == []
    monkeypatch.setattr(observe, "users_of", lambda _place, _pod: AS_SET)
    members.sent.clear()
    held.correct(SPEC, accesses(rd_0=Access("run of rd-0", listed)), PASSWORDS)
    assert [name for name, sent in members.sent if "ACL DELUSER mallory" in sent] == ["rd-0"]
    members.sent.clear()
    held.correct(SPEC, accesses(), PASSWORDS)
    assert members.sent == []


def test_users_are_set_once_in_the_life_of_a_process_and_then_held(monkeypatch: pytest.MonkeyPatch) -> None:
    members, held = Members(), Users()
    hold(monkeypatch, members)
    assert held.changed(accesses()) == {}
    held.correct(SPEC, accesses(), PASSWORDS)
    assert [name for name, _ in members.sent] == ["rd-0", "rd-1", "rd-2", *(f"rd-sentinel-{i}" for i in range(3))]
    members.sent.clear()
    held.correct(SPEC, accesses(), PASSWORDS)
    assert members.sent == []


@pytest.mark.parametrize(
    ("access", "names"),
    [
        (Access("run of rd-1", ("user caplab off #1 ~*", *AS_SET[1:])), ["caplab"]),
        (Access("run of rd-1", (*AS_SET, "user mallory on nopass ~* +@all")), ["mallory"]),
        (Access("run of rd-1", AS_SET[1:]), ["caplab"]),
    ],
    ids=["switched off", "one more", "deleted"],
)
def test_users_changed_by_hand_are_noticed_and_corrected(
    monkeypatch: pytest.MonkeyPatch, access: Access, names: list[str]
) -> None:
    members, held = Members(), Users()
    hold(monkeypatch, members)
    held.correct(SPEC, accesses(), PASSWORDS)
    members.sent.clear()
    assert held.changed(accesses(rd_1=access)) == {"rd-1": names}
    held.correct(SPEC, accesses(rd_1=access), PASSWORDS)
    ((pod, commands),) = members.sent
    assert pod == "rd-1"
    assert "ACL SETUSER caplab reset on >c ~* &* +@read" in "\n".join(commands)
    assert ("ACL DELUSER mallory" in commands) == (names == ["mallory"])


def test_a_password_that_the_secret_no_longer_has_is_made_good(monkeypatch: pytest.MonkeyPatch) -> None:
    members, held = Members(), Users()
    hold(monkeypatch, members)
    held.correct(SPEC, accesses(), PASSWORDS)
    members.sent.clear()
    held.correct(SPEC, accesses(rd_2=Access("run of rd-2", AS_SET, "WRONGPASS")), PASSWORDS)
    assert [name for name, _ in members.sent] == ["rd-2"]


def test_what_redis_refuses_of_users_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    members, held = Members(refuses=True), Users()
    hold(monkeypatch, members)
    assert held.correct(SPEC, accesses(), PASSWORDS)["rd-0"] == "ERR no"
    assert held.correct(SPEC, accesses(), PASSWORDS)["rd-0"] == "ERR no"


def test_no_password_is_ever_logged() -> None:
    texts = [users.printable(command) for command in users.commands(users.MEMBER_USERS, PASSWORDS, ())]
    assert not any(f">{password}" in " ".join(texts) for password in PASSWORDS.values())
    assert "ACL SETUSER operator reset on >* ~* &* +@all" in texts


def test_a_user_whose_password_is_not_known_stays_as_it_is() -> None:
    texts = [" ".join(command) for command in users.commands(users.MEMBER_USERS, {"operator": "o"}, ())]
    assert texts == ["ACL SETUSER default off", "ACL SETUSER operator reset on >o ~* &* +@all"]


@pytest.mark.parametrize(("password", "refused"), [("secret", False), ("another", True)])
def test_clients_login_is_tried_as_clients_do(password: str, refused: bool) -> None:
    async def tried() -> str:
        async with fake_redis() as fake:
            place = Place((replace(PODS[0], address="127.0.0.1"),), (), "secret", password)
            return await asyncio.to_thread(observe.login_refusal, place, place.members[0], fake.port, 1.0)

    assert ("invalid username-password" in asyncio.run(tried())) is refused


WATCHED = {**PASSWORDS, "monitor": "mon"}
EXPORTERS = f"user monitor on #{hashlib.sha256(b'mon').hexdigest()} -@all +info"


def test_the_exporters_user_is_given_to_running_members_and_to_no_sentinel(monkeypatch: pytest.MonkeyPatch) -> None:
    members, held = Members(), Users()
    hold(monkeypatch, members)
    held.correct(SPEC, accesses(), WATCHED)
    has = {name: any(line.startswith("ACL SETUSER monitor reset on >mon -@all +ping +info") for line in lines)
           for name, lines in members.sent}  # fmt: skip
    assert has == {name: not name.startswith("rd-sentinel") for name in has}
    assert len(has) == 6


@pytest.mark.parametrize("line", ["", EXPORTERS.replace("on #", "on #0"), "user other on #1"])
def test_a_member_that_does_not_let_the_exporter_in_is_told_again(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    members, held = Members(), Users()
    hold(monkeypatch, members)
    monkeypatch.setattr(observe, "users_of", lambda _place, _pod: (*AS_SET, *filter(None, [line])))
    held.correct(SPEC, accesses(), WATCHED)
    members.sent.clear()
    with_line = (*AS_SET, *filter(None, [line]))
    of = {f"rd_{number}": Access(f"run of rd-{number}", with_line) for number in range(3)}
    held.correct(SPEC, accesses(**of), WATCHED)
    assert [name for name, _ in members.sent if not name.startswith("rd-sentinel")] == ["rd-0", "rd-1", "rd-2"]


def test_one_that_does_is_left_alone_and_without_exporters_the_user_is_a_stranger() -> None:
    assert users.has_login("monitor", "mon", (*AS_SET, EXPORTERS))
    assert not users.has_login("monitor", "another", (*AS_SET, EXPORTERS))
    assert not any("monitor" in line for line in users.file_of(users.MEMBER_USERS).splitlines())
    commands = users.commands(users_of_members({**PASSWORDS, "monitor": ""}), PASSWORDS, (*AS_SET, EXPORTERS))
    assert ("ACL", "DELUSER", "monitor") in commands


def test_the_exporters_user_reads_and_does_nothing_else() -> None:
    rules = users.EXPORTERS_USER.rules.split()
    assert rules[0] == "-@all"
    assert not any(rule.startswith(("~", "%", "&", "allkeys", "allchannels", "+@")) for rule in rules)
    assert {rule.lstrip("+") for rule in rules[1:]} == {
        "ping", "info", "client|setname", "latency|latest", "slowlog|len", "slowlog|get",
    }  # fmt: skip


@pytest.mark.parametrize("line", ["", "user", "user caplab", "users caplab on"])
def test_a_line_that_names_no_user_is_no_answer(line: str) -> None:
    with pytest.raises(ValueError, match="is not a line of ACL LIST"):
        observe.access_from({"run_id": "r"}, ["user default off", line])
