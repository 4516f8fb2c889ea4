"""What a PostgresCluster's status says, and that it is so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines.parameters import not_taken
from caplab_operator.engines.postgres import patroni, status
from caplab_operator.engines.postgres.observe import ObservedPostgres
from caplab_operator.engines.postgres.readings import Line, Reading
from caplab_operator.engines.postgres.spec import PostgresSpec
from support.operator.observed_postgres import (
    CONF,
    QUORUM,
    SPEC,
    answer,
    by_alter_system,
    done,
    observed,
    override,
    reading,
    setting,
)

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
SYNC = replace(SPEC, durability="sync")


def build(
    look: ObservedPostgres,
    spec: PostgresSpec = SPEC,
    before: Mapping[str, Any] | None = None,
    now: str = NOW,
    active_faults: Mapping[str, str] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    return status.build(spec, look, before or {}, now, active_faults or {}, done(look, spec, **changes))


def condition(built: Mapping[str, Any], name: str) -> tuple[str, str]:
    (entry,) = [entry for entry in built["conditions"] if entry["type"] == name]
    return entry["status"], entry["message"]


def test_a_cluster_whose_members_are_all_well_is_ready() -> None:
    built = build(observed())
    assert (built["phase"], built["primary"], built["epoch"], built["readyMembers"]) == ("Ready", "pg-0", 1, 3)
    assert [member["zone"] for member in built["members"]] == ["a", "b", "c"]
    assert {entry["type"]: entry["status"] for entry in built["conditions"]} == {
        "Ready": "True",
        "DurabilityApplied": "True",
        "SettingsApplied": "True",
    }
    assert "rollout" not in built


def test_a_silent_replica_leaves_the_cluster_degraded() -> None:
    built = build(observed(answers={"pg-2": None}), before={"phase": "Ready"})
    assert (built["phase"], built["readyMembers"]) == ("Degraded", 2)
    assert built["members"][2]["state"] == "silent"


def test_a_replica_that_runs_and_does_not_stream_is_not_ready() -> None:
    """Whatever Patroni's topology said of it a second ago."""
    look = observed(answers={"pg-1": answer("pg-1", replication_state=None)})
    built = build(look, before={"phase": "Ready"})
    assert (built["phase"], built["members"][1]["ready"]) == ("Degraded", False)
    assert condition(built, "Ready") == ("False", "not ready: pg-1 (running)")


def test_a_replica_whose_primary_has_hung_up_is_not_ready_though_it_does_not_know_yet() -> None:
    """It was frozen: its own word is of before that."""
    streams = reading(streams_to=frozenset({"pg-2"}))
    built = build(observed(readings={"pg-0": streams}), before={"phase": "Ready"})
    assert (built["phase"], built["readyMembers"]) == ("Degraded", 2)
    assert condition(built, "Ready") == ("False", "not ready: pg-1 (not streamed to by the primary)")
    streams = reading(streams_to=frozenset({"pg-1", "pg-2"}))
    assert build(observed(readings={"pg-0": streams}), before={"phase": "Ready"})["phase"] == "Ready"


def test_a_cluster_that_clients_cannot_log_in_to_is_not_ready() -> None:
    refused = {"pg-0": "", "pg-1": "FATAL: password authentication failed", "pg-2": ""}
    built = build(observed(), before={"phase": "Ready"}, logins=refused)
    assert built["phase"] == "Degraded"
    assert condition(built, "Ready") == (
        "False",
        "clients cannot log in: pg-1: FATAL: password authentication failed",
    )
    assert condition(build(observed(), logins={"pg-0": ""}), "Ready")[0] == "False"


def test_a_leader_that_is_not_itself_a_running_primary_is_no_primary() -> None:
    """The lock outlives its holder for ttl: only both together are a primary."""
    for own_answer in (None, {"role": "replica", "state": "running"}, {"role": "primary", "state": "stopping"}):
        built = build(observed(answers={"pg-0": own_answer}), before={"phase": "Ready"})
        assert built["phase"] == "Down"
        assert "primary" not in built
        assert "durability" not in built
        assert condition(built, "DurabilityApplied")[0] == "Unknown"


def test_a_member_that_says_primary_without_the_lock_is_no_primary() -> None:
    assert "primary" not in build(replace(observed(), leader="pg-1"))


def test_a_cluster_is_creating_until_it_was_ready_once() -> None:
    assert build(observed(answers={"pg-2": None}))["phase"] == "Creating"


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = build(observed())
    assert build(observed(), before=first, now=LATER) == first
    third = build(observed(answers={"pg-2": None}), before=first, now=LATER)
    times = {entry["type"]: entry["lastTransitionTime"] for entry in third["conditions"]}
    assert times == {"Ready": LATER, "DurabilityApplied": NOW, "SettingsApplied": NOW}


@pytest.mark.parametrize("spec", [QUORUM, SYNC])
def test_a_cluster_whose_commits_wait_for_a_standby_that_is_not_there_is_not_ready(spec: PostgresSpec) -> None:
    look = observed(spec)
    assert build(look, spec)["phase"] == "Ready"
    rows = [{**row, "role": "leader" if row["name"] == "pg-0" else "replica"} for row in look.topology["members"]]  # type: ignore[index]
    built = build(replace(look, topology={"members": rows}), spec, {"phase": "Ready"})
    assert built["phase"] == "Degraded"
    assert "writes block" in condition(built, "Ready")[1]


# --- Durability -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [SPEC, QUORUM, SYNC])
def test_durability_is_what_the_primary_itself_waits_for(spec: PostgresSpec) -> None:
    built = build(observed(spec), spec)
    assert built["durability"] == spec.durability
    assert condition(built, "DurabilityApplied")[0] == "True"


@pytest.mark.parametrize(
    ("spec", "names", "amounts_to"),
    [
        (QUORUM, "", "async"),  # Patroni's own settings say quorum, and the primary waits for nobody
        (SPEC, "ANY 1 (pg-1)", "other"),
        (SYNC, "ANY 1 (pg-1)", "other"),
        (QUORUM, "pg-1", "other"),
        (QUORUM, "*", "quorum"),  # nobody counts yet: writes block
    ],
)
def test_a_primary_that_waits_for_others_than_patroni_says_is_told_of(
    spec: PostgresSpec, names: str, amounts_to: str
) -> None:
    look = observed(spec, readings={"pg-0": reading(spec, {"synchronous_standby_names": names})})
    built = build(look, spec)
    assert built["durability"] == amounts_to
    expected = "True" if amounts_to == spec.durability else "False"
    assert condition(built, "DurabilityApplied")[0] == expected


@pytest.mark.parametrize("member", ["pg-0", "pg-2"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "local"), ("wal_level", "minimal")],
)
def test_one_weak_setting_of_one_member_is_told_with_its_value_and_where_it_is_from(
    member: str, name: str, value: str
) -> None:
    weak = {member: reading(QUORUM, {name: setting(name, value)})}
    built = build(observed(QUORUM, readings=weak), QUORUM, {"phase": "Ready"})
    assert built["durability"] == "other"
    assert built["phase"] == "Degraded"
    assert condition(built, "DurabilityApplied") == ("False", f"{member}: {name} is {value} (in postgresql.conf)")


def weakened(changed: Reading, spec: PostgresSpec = QUORUM) -> str:
    stands, why = condition(build(observed(spec, readings={"pg-1": changed}), spec), "DurabilityApplied")
    assert stands == "False"
    return why


def test_what_alter_system_wrote_is_told_also_before_it_counts() -> None:
    in_force = setting("fsync", "off", file="/data/pg/postgresql.auto.conf")
    lines = (by_alter_system("fsync", "off"),)
    assert weakened(reading(QUORUM, {"fsync": in_force}, lines=lines)) == (
        "pg-1: fsync is off (by ALTER SYSTEM, in postgresql.auto.conf)"
    )
    assert weakened(reading(QUORUM, lines=lines)) == (
        "pg-1: fsync will be 'off' (by ALTER SYSTEM, in postgresql.auto.conf)"
    )
    for_nobody = (by_alter_system("synchronous_standby_names", ""),)
    assert "synchronous_standby_names" in weakened(reading(QUORUM, lines=for_nobody))


def test_what_holds_for_a_role_or_a_database_only_is_told_once() -> None:
    def both(changed: tuple[Any, ...]) -> str:
        readings = {name: reading(QUORUM, overrides=changed) for name in ("pg-0", "pg-1", "pg-2")}
        return condition(build(observed(QUORUM, readings=readings), QUORUM), "DurabilityApplied")[1]

    off = ("synchronous_commit", "off")
    assert both((override(*off, role="caplab"),)) == "synchronous_commit is off for role caplab"
    assert both((override(*off, database="caplab"),)) == "synchronous_commit is off in database caplab"
    assert both((override(*off, "caplab", "db"),)) == "synchronous_commit is off for role caplab in database db"
    assert both((override(*off),)) == "synchronous_commit is off for every role"
    strong = (override("synchronous_commit", "remote_apply", role="caplab"), override("work_mem", "1MB"))
    assert "by every member's own settings" in both(strong)


def test_a_value_of_the_operators_own_connection_says_nothing_of_others() -> None:
    mine = setting("synchronous_commit", "off", source="user", file="")
    built = build(observed(readings={"pg-1": reading(changed={"synchronous_commit": mine})}))
    assert condition(built, "DurabilityApplied")[0] == "True"


def test_a_member_that_does_not_say_its_settings_leaves_them_unknown() -> None:
    built = build(observed(QUORUM, readings={"pg-2": None}), QUORUM)
    assert condition(built, "DurabilityApplied")[0] == "Unknown"
    assert condition(built, "SettingsApplied")[0] == "Unknown"
    assert built["durability"] == "quorum"
    assert built["phase"] == "Creating"
    why = replace(observed(QUORUM, readings={"pg-2": None}), silences={"pg-2": "password authentication failed"})
    message = condition(build(why, QUORUM), "DurabilityApplied")[1]
    assert (
        message == "no settings reported by pg-2 (password authentication failed); by the others' settings it is quorum"
    )
    built = build(observed(QUORUM, readings={"pg-0": None}), QUORUM)
    assert "durability" not in built


# --- Settings ---------------------------------------------------------------------------------------------

MORE = replace(SPEC, parameters={"max_connections": "300", "work_mem": "8MB"})


def applied(*changes: Mapping[str, Any], **more: Any) -> tuple[str, str]:
    """What SettingsApplied says where pg-1 (and pg-2) differ."""
    readings = {f"pg-{number}": reading(MORE, changed, **more) for number, changed in enumerate(changes, 1)}
    return condition(build(observed(MORE, readings=readings), MORE), "SettingsApplied")


def test_every_way_to_write_a_value_is_the_same_value() -> None:
    assert applied({"work_mem": setting("work_mem", "8192", unit="kB", kind="integer")})[0] == "True"
    assert applied({"hot_standby_feedback": setting("hot_standby_feedback", "on", kind="bool")})[0] == "True"
    otherwise = setting("work_mem", "eight megabytes")
    assert applied({"work_mem": otherwise})[0] == "False"
    line = Line(name="work_mem", value="8MB", file=CONF, applied=True, error="")
    assert applied({"work_mem": otherwise}, lines=(line,))[0] == "True"


def test_what_differs_is_told_by_setting_and_member() -> None:
    differs = {"work_mem": setting("work_mem", "4096", unit="kB", kind="integer")}
    assert applied(differs, differs) == ("False", "different from the spec: work_mem is 4096kB, not 8MB (pg-1, pg-2)")


def test_a_setting_of_patronis_that_differs_is_told() -> None:
    look = observed()
    built = build(replace(look, config={**(look.config or {}), "pause": True}), before={"phase": "Ready"})
    assert condition(built, "SettingsApplied") == (
        "False",
        "different from the spec: pause is True, not False (Patroni)",
    )
    assert built["phase"] == "Degraded"


def test_what_waits_for_a_restart_is_told_also_where_only_patroni_knows() -> None:
    waits = setting("max_connections", "240", kind="integer", waits_for_restart=True)
    message = "waiting for a restart: max_connections is 240, not yet 300 (pg-1)"
    assert applied({"max_connections": waits}) == ("False", message)
    reasons = {"max_connections": {"old_value": "240", "new_value": "300"}}
    look = observed(
        MORE,
        answers={"pg-1": answer("pg-1", pending_restart_reason=reasons)},
        readings={"pg-1": reading(MORE, {"max_connections": "240"})},
    )
    assert condition(build(look, MORE), "SettingsApplied") == ("False", message)


def test_what_postgres_refuses_is_told_in_its_words() -> None:
    line = Line(name="work_mem", value="8MB", file=CONF, applied=False, error="setting could not be applied")
    differs = {"work_mem": setting("work_mem", "4096", unit="kB", kind="integer")}
    assert applied(differs, lines=(line,)) == (
        "False",
        "Postgres refuses: work_mem '8MB': setting could not be applied (pg-1)",
    )
    older = reading(MORE)
    without = replace(older, settings={name: setting for name, setting in older.settings.items() if name != "work_mem"})
    applied_condition = condition(build(observed(MORE, readings={"pg-1": without}), MORE), "SettingsApplied")
    assert applied_condition == ("False", "Postgres refuses: work_mem is not a parameter of it (pg-1)")


def test_what_no_spec_may_name_never_reaches_postgres_and_is_told() -> None:
    """The object may have been stored before the API server knew to refuse it."""
    sly = {
        "FSYNC": "off",
        "fsync": "off",
        "zz.a = '1'\nfsync = off\nzz.b": "1",
        "archive_command": "id",
        "work_mem": "1MB",
    }
    spec = replace(SPEC, parameters=sly)
    given = patroni.parameters(spec)
    assert given["work_mem"] == "1MB"
    assert not (sly.keys() - {"work_mem"}) & given.keys()
    stands, why = condition(build(observed(spec), spec), "SettingsApplied")
    assert stands == "False"
    assert all(name in why for name in ("FSYNC: no parameter has that name", "fsync: durability", "archive_command: "))


@pytest.mark.parametrize("name", ["wal_keep_size", "max_slot_wal_keep_size", "max_wal_size"])
def test_how_much_of_the_volume_the_log_takes_is_not_for_the_spec_to_say(name: str) -> None:
    assert name in not_taken("postgres", {name: "100GB"})


def test_a_cluster_with_settings_or_members_still_to_change_is_not_ready() -> None:
    differs = {"pg-1": reading(changed={"wal_keep_size": "1MB"})}
    assert build(observed(readings=differs), before={"phase": "Ready"})["phase"] == "Degraded"
    under_way = build(observed(), before={"phase": "Ready"}, rollout="2 of 3 members to restart")
    assert (under_way["phase"], under_way["rollout"]) == ("Degraded", "2 of 3 members to restart")


# --- Failovers --------------------------------------------------------------------------------------------


def test_the_last_failover_comes_from_patronis_history() -> None:
    history = [[1, 100, "no recovery target", "t1", "pg-1"], [2, 200, "no recovery target", "t2", "pg-2"]]
    built = build(replace(observed(), history=history))
    assert built["lastFailover"] == {"at": "t2", "from": "pg-1", "to": "pg-2", "cause": "not a fault of the lab"}
    assert "lastFailover" not in build(observed())


def test_a_failover_has_its_cause_and_the_time_without_a_primary() -> None:
    """Patroni's history may tell of it a round after the new primary was seen."""
    at = [f"2026-01-01T00:00:{second:02}Z" for second in range(10)]
    silent = observed(answers={"pg-0": None})
    before = build(observed(), now=at[0])
    gone = build(silent, before=before, now=at[1])
    assert gone["primaryGap"] == {"member": "pg-0", "since": at[1]}
    assert build(silent, before=gone, now=at[2])["primaryGap"]["since"] == at[1]
    back = build(observed(), before=gone, now=at[3])
    assert back["primaryGap"] == {"member": "pg-0", "since": at[1], "until": at[3]}
    history = [[1, 1, "x", "t1", "pg-0"], [2, 2, "x", "t2", "pg-2"]]
    later = replace(observed(), history=history)
    with_fault = build(later, before=back, now=at[4], active_faults={"pg-0": "kill-1"})
    assert with_fault["lastFailover"] == {
        "at": "t2", "from": "pg-0", "to": "pg-2", "cause": "fault kill-1", "seconds": 2.0,
    }  # fmt: skip
    first = build(replace(observed(), history=history[1:]), before=back, now=at[4], active_faults={"pg-0": "kill-1"})
    assert (first["lastFailover"]["from"], first["lastFailover"]["cause"]) == ("pg-0", "fault kill-1")
    # the fault's object may be gone by then
    assert build(later, before=with_fault, now=at[5])["lastFailover"] == with_fault["lastFailover"]


def test_a_switchover_is_no_fault() -> None:
    history = [[1, 1, "x", "t1", "pg-0"], [2, 2, "x", "t2", "pg-2"]]
    built = build(replace(observed(), history=history), causes={"pg-0": "handed over by the operator"})
    assert built["lastFailover"]["cause"] == "handed over by the operator"
