"""What is to be done to a PostgresCluster next: rolling restarts, switchovers, changes of size, drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines.pods import Pod
from caplab_operator.engines.postgres import rejoin, rollout, settings, settings_drift
from caplab_operator.engines.postgres.observe import ObservedPostgres
from caplab_operator.engines.postgres.rollout import RestartPostgres, Switchover
from caplab_operator.engines.postgres.spec import PostgresSpec
from caplab_operator.engines.rolling import Deployed, Resize, Restart, Wait
from support.operator.observed_postgres import (
    CURRENT,
    QUORUM,
    SPEC,
    answer,
    by_alter_system,
    observed,
    override,
    pod,
    reading,
    setting,
)

SYNC = replace(SPEC, durability="sync")


def step(look: ObservedPostgres, deployed: Deployed = CURRENT, spec: PostgresSpec = SPEC) -> tuple[str, Any] | None:
    """The kind of the step, and what it is about."""
    match rollout.next_step(spec, look, deployed, settings.gaps(spec, look)):
        case None:
            return None
        case Restart(chosen):
            return "restart", chosen.name
        case RestartPostgres(chosen):
            return "restart postgres", chosen.name
        case Switchover(_, candidate):
            return "hand over", candidate
        case Resize(replicas):
            return "resize", replicas
        case Wait(why):
            return "wait", why
    raise AssertionError


def revised(*revisions: str, **changes: Any) -> list[Pod]:
    return [pod(f"pg-{number}", revision=revision, **changes) for number, revision in enumerate(revisions)]


def test_nothing_is_to_be_done_where_all_is_as_asked() -> None:
    assert step(observed()) is None
    assert step(observed(answers={"pg-1": None})) is None
    kind, _ = step(observed(), replace(CURRENT, is_current=False)) or ("", "")
    assert kind == "wait"


def test_pods_of_an_old_template_are_replaced_replicas_first_and_the_primary_hands_over_once() -> None:
    """Whatever number the primary has."""
    pods = ["r0", "r0", "r0"]
    done: list[tuple[str, Any]] = []
    primary = "pg-2"
    while next_step := step(observed(primary=primary, pods=revised(*pods))):
        done.append(next_step)
        if next_step[0] == "hand over":
            primary = next_step[1]
        else:
            pods[int(next_step[1][-1])] = "r1"
    assert done == [("restart", "pg-1"), ("restart", "pg-0"), ("hand over", "pg-0"), ("restart", "pg-2")]


def test_the_next_is_replaced_only_when_all_stream_again() -> None:
    pods = revised("r0", "r0", "r1")
    starting = observed(pods=pods, answers={"pg-2": answer("pg-2", replication_state=None)})
    assert step(starting) == ("wait", "2 of 3 members to restart: not ready: pg-2 (running)")
    assert step(observed(pods=pods[:2])) == ("wait", "2 of 3 members to restart: not ready: 1 not started")
    assert step(observed(pods=pods)) == ("restart", "pg-1")
    silent = observed(QUORUM, pods=pods)
    nobody = replace(silent, topology={"members": [{"name": "pg-0", "role": "leader"}]})
    assert step(nobody, spec=QUORUM) == (
        "wait",
        "2 of 3 members to restart: no standby counts for commits yet: writes block",
    )


def test_a_pod_that_does_not_run_is_replaced_at_once_unless_it_leads() -> None:
    pods = [pod("pg-0", revision="r0", ready=False), pod("pg-1", revision="r0", ready=False), pod("pg-2")]
    assert step(observed(pods=pods, answers={"pg-1": None})) == ("restart", "pg-1")
    leaving = [pods[0], replace(pods[1], terminating=True), pods[2]]
    assert (step(observed(pods=leaving, answers={"pg-1": None})) or ("", ""))[0] == "wait"


def test_the_only_member_is_restarted_in_its_place() -> None:
    alone = replace(SPEC, replicas=1)
    assert step(observed(alone, pods=revised("r0")), replace(CURRENT, replicas=1), alone) == ("restart", "pg-0")
    waits = {"pg-0": reading(alone, {"shared_buffers": setting("shared_buffers", "1", waits_for_restart=True)})}
    assert step(observed(alone, readings=waits), replace(CURRENT, replicas=1), alone) == ("restart postgres", "pg-0")


@pytest.mark.parametrize(
    ("spec", "lags", "chosen"), [(SPEC, {"pg-1": 5}, "pg-2"), (QUORUM, {"pg-2": 5}, "pg-1"), (SPEC, {}, "pg-1")]
)
def test_who_lags_least_takes_over(spec: PostgresSpec, lags: Mapping[str, int], chosen: str) -> None:
    assert step(observed(spec, pods=revised("r0", "r1", "r1"), lags=lags), spec=spec) == ("hand over", chosen)


def only_standby(look: ObservedPostgres, name: str) -> ObservedPostgres:
    """Patroni waits for one chosen standby."""
    rows = [
        {**row, "role": "replica"} if row["name"] != name and row["role"] != "leader" else row
        for row in (look.topology or {})["members"]
    ]
    return replace(look, topology={"members": rows})


def test_only_who_is_waited_for_takes_over() -> None:
    look = only_standby(observed(SYNC, pods=revised("r0", "r1", "r1"), lags={"pg-2": 9}), "pg-2")
    assert step(look, spec=SYNC) == ("hand over", "pg-2")


# --- Settings that count from the next start ----------------------------------------------------------------


def connections(wanted: int, *members: int) -> tuple[PostgresSpec, ObservedPostgres]:
    """A cluster whose members still have so many."""
    spec = replace(SPEC, parameters={"max_connections": str(wanted)})
    readings, answers = {}, {}
    for number, has in enumerate(members):
        name = f"pg-{number}"
        rows = {"max_connections": setting("max_connections", str(has), kind="integer")}
        readings[name] = reading(spec, rows)
        if has != wanted:
            reasons = {"max_connections": {"old_value": str(has), "new_value": str(wanted)}}
            answers[name] = answer(name, pending_restart=True, pending_restart_reason=reasons)
    return spec, observed(spec, readings=readings, answers=answers)


def test_more_connections_reach_replicas_first_and_the_primary_by_handing_over() -> None:
    for members, expected in (
        ((240, 240, 240), ("restart postgres", "pg-2")),
        ((240, 240, 300), ("restart postgres", "pg-1")),
        ((240, 300, 300), ("hand over", "pg-1")),
        ((300, 300, 300), None),
    ):
        spec, look = connections(300, *members)
        assert step(look, spec=spec) == expected


def test_less_connections_reach_the_primary_first_since_no_replica_may_have_less() -> None:
    for members, expected in (
        ((240, 240, 240), ("restart postgres", "pg-0")),
        ((100, 240, 240), ("restart postgres", "pg-2")),
        ((100, 240, 100), ("restart postgres", "pg-1")),
        ((100, 100, 100), None),
    ):
        spec, look = connections(100, *members)
        assert step(look, spec=spec) == expected


def test_a_restart_waits_until_all_are_well() -> None:
    spec, look = connections(300, 240, 240, 240)
    gone = {name: own_answer for name, own_answer in look.answers.items() if name != "pg-1"}
    kind, why = step(replace(look, answers=gone), spec=spec) or ("", "")
    assert (kind, why) == ("wait", "2 of 3 members to restart: not ready: pg-1 (silent)")


# --- Size ---------------------------------------------------------------------------------------------------

FOUR = [pod(f"pg-{number}") for number in range(4)]
TWO = replace(SPEC, replicas=2)


@pytest.mark.parametrize(
    ("primary", "expected"),
    [
        ("pg-1", ("resize", 2)),
        ("pg-2", ("resize", 3)),
        ("pg-3", ("hand over", "pg-0")),
        (None, ("wait", "from 4 members to 2: there is no primary")),
    ],
)
def test_a_primary_that_would_go_hands_over_first(primary: str | None, expected: tuple[str, Any]) -> None:
    assert step(observed(TWO, primary=primary, pods=FOUR), replace(CURRENT, replicas=4), TWO) == expected


def test_where_only_one_that_goes_may_take_over_it_does_so_in_between() -> None:
    spec = replace(SYNC, replicas=2)
    look = only_standby(observed(spec, primary="pg-3", pods=FOUR), "pg-2")
    assert step(look, replace(CURRENT, replicas=4), spec) == ("hand over", "pg-2")
    nobody = only_standby(observed(spec, primary="pg-3", pods=FOUR), "none")
    assert (step(nobody, replace(CURRENT, replicas=4), spec) or ("", ""))[0] == "wait"


# --- Mending ------------------------------------------------------------------------------------------------


def test_all_that_alter_system_wrote_is_taken_back() -> None:
    lines = (by_alter_system("fsync", "off"), by_alter_system("a.b", "1"), by_alter_system("fsync", "off"))
    assert settings_drift.system_resets(reading(lines=lines)) == [
        'alter system reset "fsync"',
        'alter system reset "a"."b"',
    ]
    assert settings_drift.system_resets(reading()) == []


def test_what_weakens_one_role_or_database_is_taken_back_and_nothing_else() -> None:
    off = ("synchronous_commit", "off")
    overrides = (
        override(*off, role="caplab"),
        override(*off, database='my"db'),
        override(*off, role="caplab", database="db"),
        override(*off),
        override("work_mem", "1MB", role="caplab"),
        override("synchronous_commit", "remote_apply", role="strong"),
    )
    assert settings_drift.override_resets(reading(overrides=overrides)) == [
        'alter role "caplab" reset "synchronous_commit"',
        'alter database "my""db" reset "synchronous_commit"',
        'alter role "caplab" in database "db" reset "synchronous_commit"',
        'alter role all reset "synchronous_commit"',
    ]


def test_a_replica_whose_log_is_gone_needs_a_copy() -> None:
    stuck = answer("pg-1", replication_state=None, xlog={"received_location": 5 * 2**24 + 7})
    look = observed(answers={"pg-1": stuck})
    assert rejoin.lagging(look) == ["pg-1"]
    assert rejoin.lagging(observed()) == []
    assert rejoin.lagging(observed(primary=None, answers={"pg-1": stuck})) == []
    assert not rejoin.needs_copy(look, "pg-1", 5)
    assert rejoin.needs_copy(look, "pg-1", 6)
    silent = observed(answers={"pg-1": answer("pg-1", replication_state=None)})
    assert not rejoin.needs_copy(silent, "pg-1", 6)


@pytest.mark.parametrize(
    ("timeline", "received", "why"),
    [
        (6, 0x7002000, "it has 4,096 bytes of log that the primary does not have"),
        (6, 0x7001000, ""),  # all that it has is the primary's
        (7, 0x7002000, ""),  # it is on the primary's own timeline
        (7, 0x7000FFF, "it follows another timeline 7 than the primary's, from one that died amid its promotion"),
        (6, 0x6FFFFFF, "it follows another timeline 6 than the primary's, from one that died amid its promotion"),
        (8, 0x7000FFF, ""),
        (5, 0x7001000, "it has 4,096 bytes of log that the primary does not have"),
        (4, 0x7002000, ""),  # the history does not reach so far back
        (None, 0x7002000, ""),
    ],
)
def test_a_replica_with_log_that_the_primary_does_not_have_needs_a_copy(
    timeline: int | None, received: int, why: str
) -> None:
    stuck = answer("pg-1", replication_state=None, xlog={"received_location": received}, timeline=timeline)
    history = [[5, 0x7000000, "promoted", "2026", "pg-2"], [6, 0x7001000, "promoted", "2026", "pg-0"]]
    assert rejoin.needs_copy(observed(answers={"pg-1": stuck}, history=history), "pg-1", 6) == why
    odd: list[list[Any]] = [[timeline], [timeline, "x", "promoted"], []]
    assert rejoin.needs_copy(observed(answers={"pg-1": stuck}, history=odd), "pg-1", 6) == ""
