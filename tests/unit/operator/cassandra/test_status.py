"""Who is who in the ring, how each member is by its peers' word, and what a CassandraCluster's status says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines.cassandra import configuration, observe, settings_drift, status
from caplab_operator.engines.cassandra.observe import Member, Work
from caplab_operator.engines.cassandra.repairs import Repair
from caplab_operator.engines.cassandra.ring import Ring
from caplab_operator.engines.cassandra.ring_state import ring_of
from support.operator.observed_cassandra import (
    HOSTS,
    LATER,
    NOW,
    PODS,
    SPEC,
    STARTS,
    WAITS,
    address,
    before,
    host,
    leaving,
    lost,
    observed,
    pod,
    ring,
    up,
)

ANSWER: dict[str, Any] = {
    "stage": "running", "problem": "", "fresh": False, "mode": "NORMAL", "address": "10.0.0.1", "hostId": "h1",
    "rack": "a", "native": True, "live": ["10.0.0.1"], "unreachable": ["10.0.0.2"], "joining": [], "leaving": [],
    "hostIds": {"10.0.0.1": "h1", "10.0.0.2": "h2"}, "owns": {"10.0.0.1": 0.5}, "schemas": {"10.0.0.1": "s"},
    "settings": {"phiConvictThreshold": 5.0, "hintedHandoffEnabled": True, "paxosVariant": "v2"}, "hints": {"h2": 7},
    "work": {"kind": "repair", "id": "r", "state": "failed", "problem": "no"}, "version": "5.0.6",
}  # fmt: skip


def test_an_answer_is_read_whole_and_before_cassandra_runs_in_part() -> None:
    member = observe.member_from(ANSWER)
    assert member == Member(
        stage="running",
        problem="",
        fresh=False,
        work=Work("repair", "r", "failed", "no"),
        mode="NORMAL",
        host_id="h1",
        native=True,
        live=frozenset({"10.0.0.1"}),
        joining=frozenset(),
        leaving=frozenset(),
        host_ids={"10.0.0.1": "h1", "10.0.0.2": "h2"},
        owns={"10.0.0.1": 0.5},
        schemas={"10.0.0.1": "s"},
        settings={"phiConvictThreshold": 5.0, "hintedHandoffEnabled": True, "paxosVariant": "v2"},
    )
    assert observe.member_from({"stage": "waiting", "fresh": True}) == WAITS


@pytest.mark.parametrize(
    "broken",
    [
        {"stage": None}, {"fresh": "yes"}, {"hostId": 5}, {"live": "10.0.0.1"}, {"live": [1]}, {"hostIds": ["h1"]},
        {"owns": {"10.0.0.1": "much"}}, {"owns": {"10.0.0.1": float("nan")}}, {"settings": {"a": None}},
        {"work": "none"}, {"schemas": {"10.0.0.1": 5}}, {"application": 5},
        {"options": {"a": 5}},
    ],
)  # fmt: skip
def test_an_answer_that_nobody_can_read_is_none(broken: dict[str, Any]) -> None:
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        observe.member_from({**ANSWER, **broken})


def rows(members: Ring) -> dict[str, tuple[str, int, int]]:
    return {row.name: (row.state, row.up_by, row.down_by) for row in members.rows}


ALL_UP = {f"cs-{number}": ("UN", 2, 0) for number in range(3)}
ALONE = {0: up(0, others=[0]), 1: None, 2: None}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (ring(), ALL_UP),
        # killed, and nobody has noticed; and then they have
        (ring({1: None}), ALL_UP | {"cs-0": ("UN", 1, 0), "cs-2": ("UN", 1, 0)}),
        (ring(lost(1) | {1: None}), {"cs-0": ("UN", 1, 0), "cs-1": ("DN", 0, 2), "cs-2": ("UN", 1, 0)}),
        # cut off, it sees the others down: most say what counts, and where they are at one its own word
        (
            ring(lost(1) | {1: up(1, down=[0, 2])}),
            {"cs-0": ("UN", 1, 1), "cs-1": ("DN", 0, 2), "cs-2": ("UN", 1, 1)},
        ),
        (ring({0: up(0, down=[1]), 1: None}), {"cs-0": ("UN", 1, 0), "cs-1": ("DN", 1, 1), "cs-2": ("UN", 1, 0)}),
        (ring(lost(1) | {1: STARTS}), {"cs-0": ("UN", 1, 0), "cs-1": ("DN", 0, 2), "cs-2": ("UN", 1, 0)}),
        # nobody answers but one: its own word counts for it only where the ring has nobody else
        (ring({1: None, 2: None}), {"cs-0": ("", 0, 0), "cs-1": ("UN", 1, 0), "cs-2": ("UN", 1, 0)}),
        (ring(ALONE, so_far={}), {"cs-0": ("UN", 0, 0), "cs-1": ("", 0, 0), "cs-2": ("", 0, 0)}),
        (ring({0: None, 1: None, 2: None}), dict.fromkeys(ALL_UP, ("", 0, 0))),
        (ring(dict.fromkeys(range(3), WAITS), so_far={}), dict.fromkeys(ALL_UP, ("", 0, 0))),
        # one leaves, and has left: it still says what it saw last
        (
            ring({number: up(number, leaving=frozenset({address(2)})) for number in (0, 1)} | {2: leaving(2)}),
            ALL_UP | {"cs-2": ("UL", 2, 0)},
        ),
        (
            ring({0: up(0, [0, 1]), 1: up(1, [0, 1]), 2: up(2, mode="DECOMMISSIONED")}),
            {"cs-0": ("UN", 1, 0), "cs-1": ("UN", 1, 0), "cs-2": ("", 0, 0)},
        ),
    ],
)
def test_each_member_is_as_its_peers_see_it(members: Ring, expected: dict[str, tuple[str, int, int]]) -> None:
    assert rows(members) == expected


def joining(number: int, others: list[int], host_known: bool) -> Member:
    """One that sees cs-1 join."""
    view = up(number, others)
    hosts = {**view.host_ids, **({address(1): host(1)} if host_known else {})}
    return replace(view, live=view.live | {address(1)}, joining=frozenset({address(1)}), host_ids=hosts)


@pytest.mark.parametrize("host_known", [True, False])
def test_one_that_joins_is_seen_to_and_the_first_stands_alone_meanwhile(host_known: bool) -> None:
    members = ring({0: joining(0, [0], host_known), 1: STARTS, 2: WAITS}, so_far={})
    assert rows(members) == {"cs-0": ("UN", 0, 0), "cs-1": ("UJ", 1, 0), "cs-2": ("", 0, 0)}


def test_one_that_takes_a_place_joins_and_keeps_who_it_was_until_it_says_who_it_is() -> None:
    views = {n: replace(up(n, down=[1]), live=frozenset({address(0), address(2), "10.0.9.9"})) for n in (0, 2)}
    moved = (PODS[0], pod(1, address="10.0.9.9"), PODS[2])
    members = ring({**views, 1: STARTS}, moved)
    assert (members.rows[1].state, members.rows[1].host_id, members.rows[1].address) == ("UJ", "h1", "10.0.0.1")


def test_a_member_at_a_new_address_is_known_by_its_host_id() -> None:
    moved = (PODS[0], pod(1, address="10.0.9.9"), PODS[2])
    for answer in (None, STARTS, WAITS):
        row = ring(lost(1) | {1: answer}, moved).rows[1]
        assert (row.state, row.host_id, row.address) == ("DN", "h1", "10.0.0.1")


def test_a_member_whose_host_id_nobody_wrote_down_is_known_by_its_address() -> None:
    so_far = {"members": [{"name": "cs-1", "hostId": "", "address": address(1)}]}
    assert ring(lost(1) | {1: None}, so_far={}).rows[1].host_id == "h1"
    assert ring(lost(1) | {1: WAITS}, (PODS[0], pod(1, address="x"), PODS[2]), so_far).rows[1].host_id == "h1"


def test_nobody_is_taken_for_another_whose_address_it_has_now() -> None:
    # cs-2, a newcomer, has the address of cs-1, which is down and lost its own.
    pods = (PODS[0], pod(1, address=None), pod(2, address=address(1)))
    members = {0: up(0, [0, 1], down=[1]), 1: None, 2: WAITS}
    in_ring = ring(members, pods, before(0, 1))
    assert [row.host_id for row in in_ring.rows] == ["h0", "h1", ""]
    assert [row.host_id for row in ring({**members, 2: None}, pods, before(0, 1)).rows] == ["h0", "h1", ""]
    # The others have not noticed that cs-1 died, and its address is another's: that one is not up.
    unaware = ring({0: up(0, down=[2]), 1: None, 2: None}, pods)
    assert [row.state for row in unaware.rows] == ["", "UN", "DN"]
    assert unaware.rows[2].address == address(2)
    # One that waits takes part in nothing, whatever is heard of its address.
    neighbour = replace(up(0, [0, 1]), live=frozenset({address(0), address(2)}))
    assert ring({0: neighbour, 1: None, 2: WAITS}, so_far=before(0, 1)).rows[2].state == ""


def test_a_host_id_that_the_ring_has_forgotten_is_forgotten_and_kept_while_there_is_nobody_to_ask() -> None:
    assert ring({0: up(0, [0, 1]), 1: up(1, [0, 1]), 2: WAITS}).rows[2].host_id == ""
    assert ring({0: None, 1: None, 2: WAITS}).rows[2].host_id == "h2"


def test_a_member_whose_pod_is_just_being_made_anew_is_not_forgotten() -> None:
    members = ring(lost(1), (PODS[0], PODS[2]))
    assert [(row.name, row.host_id, row.state) for row in members.absent] == [("cs-1", "h1", "DN")]
    assert members.strangers == []
    written = build(lost(1), pods=(PODS[0], PODS[2]))
    assert [(row["name"], row["hostId"]) for row in written["members"]] == [(f"cs-{n}", f"h{n}") for n in range(3)]
    has_left = {0: up(0, [0, 2]), 2: up(2, [0, 2])}
    assert ring(has_left, (PODS[0], PODS[2])).absent == ()


def test_a_dead_host_that_is_no_members_is_a_stranger_and_one_that_is_up_is_not() -> None:
    assert ring(lost(1), (PODS[0], PODS[2]), before(0, 2)).strangers == [("h1", "10.0.0.1")]
    assert ring({}, (PODS[0], PODS[2]), before(0, 2)).strangers == []


def build(
    members: Mapping[int, Member | None] | None = None,
    so_far: Mapping[str, Any] | None = None,
    pods: Any = PODS,
    now: str = NOW,
    **done: Any,
) -> dict[str, Any]:
    look, status_so_far = observed(members, pods), so_far or before(0, 1, 2)
    return status.build(SPEC, look, ring_of(look, status_so_far), status_so_far, now, status.RoundResult(**done))


def condition(built: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    return next(
        (entry["status"], entry["reason"], entry["message"]) for entry in built["conditions"] if entry["type"] == name
    )


def test_a_cluster_whose_members_all_are_up_and_serve_is_ready() -> None:
    built = build()
    assert (built["phase"], built["readyMembers"], built["observedGeneration"]) == ("Ready", 3, 3)
    assert built["states"] == "UN UN UN"
    assert built["members"][1] == {
        "name": "cs-1", "zone": "b", "state": "UN", "ready": True, "hostId": "h1", "address": "10.0.0.1",
        "owns": 100.0, "seenUpBy": 2, "seenDownBy": 0,
    }  # fmt: skip
    assert condition(built, "SettingsApplied")[0] == "True"
    assert not {"rollout", "repair", "primary", "epoch"} & built.keys()
    assert "owns" not in build({number: up(number, owns={}) for number in range(3)})["members"][0]


def changed(number: int, **settings: Any) -> Member:
    """A member whose settings somebody changed."""
    return up(number, settings={**up(number).settings, **settings})


OTHER_SCHEMA = {address(0): "s1", address(1): "s2"}


@pytest.mark.parametrize(
    ("members", "pods", "reason", "why"),
    [
        ({1: None}, PODS, "MembersNotReady", "cs-1 (UN, silent)"),
        (lost(1) | {1: STARTS}, PODS, "MembersNotReady", "cs-1 (DN, starting)"),
        ({1: up(1, native=False)}, PODS, "MembersNotReady", "cs-1 (UN, running)"),
        ({}, (PODS[0], pod(1, ready=False), PODS[2]), "MembersNotReady", "cs-1 (UN, running)"),
        ({}, (PODS[0], pod(1, terminating=True), PODS[2]), "MembersNotReady", "cs-1 (UN, running)"),
        (lost(1) | {1: up(1, down=[0, 2])}, PODS, "MembersNotReady", "cs-0 (UN, running), cs-1 (DN"),
        ({number: up(number, [0, 1]) for number in (0, 1)}, PODS[:2], "MembersNotReady", "2 members instead of 3"),
        (
            lost(1) | {1: Member(stage="failed", problem="no such file")},
            PODS,
            "MembersNotReady",
            "cs-1 says: no such file",
        ),
        ({0: up(0, schemas=OTHER_SCHEMA)}, PODS, "SchemasDiffer", "2 versions"),
        ({1: up(1, settings={})}, PODS, "DurabilityNotApplied", "what cs-1 keeps is unknown"),
        ({1: changed(1, keyspaceDurableWrites=False)}, PODS, "DurabilityNotApplied", "cs-1: keyspaceDurableWrites"),
        ({1: changed(1, readMilliseconds=5000)}, PODS, "SettingsNotApplied", "cs-1: readMilliseconds is 5000, not 800"),
        ({1: up(1, application="there is no role caplab")}, PODS, "ClientsTurnedAway", "cs-1: there is no role caplab"),
        ({1: up(1, application=None)}, PODS, "LoginsUnknown", "whether clients can log in to cs-1"),
    ],
)
def test_a_cluster_that_lacks_something_is_degraded_and_says_what(
    members: dict[int, Member | None], pods: Any, reason: str, why: str
) -> None:
    so_far = before(*(int(pod.name[-1]) for pod in pods))
    built = build(members, so_far, pods)
    assert built["phase"] == "Degraded"
    assert condition(built, "Ready")[1] == reason
    assert why in condition(built, "Ready")[2]
    assert build(members, {**so_far, "phase": "Creating"}, pods)["phase"] == "Creating"


def test_a_cluster_none_of_which_serves_is_down() -> None:
    assert build(dict.fromkeys(range(3)))["phase"] == "Down"
    assert build({number: up(number, native=False) for number in range(3)})["phase"] == "Down"


def test_a_stranger_in_the_ring_keeps_a_cluster_from_being_ready_since_keys_lack_a_copy() -> None:
    views = {number: up(number, [0, 1, 2, 7], down=[7]) for number in range(3)}
    ready = condition(build(views), "Ready")
    assert (ready[1], "h7 at 10.0.0.7" in ready[2]) == ("StrangerInRing", True)


def test_a_step_that_changes_members_is_told_of_and_upkeep_leaves_a_cluster_ready() -> None:
    built = build(rollout="1 of 3 members to restart", is_settled=False)
    assert condition(built, "Ready") == ("False", "MembersChange", "1 of 3 members to restart")
    assert built["rollout"] == "1 of 3 members to restart"
    busy = build(rollout="x" * 300, repair=Repair("r1", ("cs-0",)))
    assert (busy["phase"], len(busy["rollout"])) == ("Ready", 200)
    assert busy["repair"] == {"request": "r1", "done": ["cs-0"]}


def test_settings_that_a_member_refuses_are_told_in_its_own_words() -> None:
    off = up(1, settings={**up(1).settings, "readMilliseconds": 5000, "heapBytes": 1})
    assert condition(build({1: off}), "SettingsApplied") == (
        "False",
        "NotYet",
        "different from the spec: cs-1: heapBytes is 1, not 335544320 (waits for a restart),"
        " readMilliseconds is 5000, not 800",
    )  # fmt: skip
    refused = build({1: off}, refusals={"cs-1": "400 no"})
    assert condition(refused, "SettingsApplied") == ("False", "Refused", "cs-1: 400 no")
    assert condition(build(dict.fromkeys(range(3))), "SettingsApplied")[0] == "Unknown"


def test_a_parameter_that_is_older_than_the_rules_reaches_no_member_and_is_told() -> None:
    spec = replace(
        SPEC, parameters={"authenticator": "AllowAllAuthenticator", "zz\nseed": "1", "concurrent_reads": "16"}
    )
    assert not {"authenticator", "zz\nseed"} & configuration.start_options(spec).keys()
    assert configuration.start_options(spec)["concurrent_reads"] == "16"
    look = observed()
    applied = condition(status.build(spec, look, ring_of(look, {}), {}, NOW, status.RoundResult()), "SettingsApplied")
    assert applied[:2] == ("False", "Refused")
    assert "parameter authenticator: logins and their rights depend on it" in applied[2]


def test_an_option_that_is_not_in_force_waits_for_a_restart() -> None:
    options = {**configuration.start_options(SPEC), "concurrent_validations": "2"}
    assert condition(build({1: up(1, options=options)}), "SettingsApplied")[0] == "True"
    other = up(1, options={**options, "compaction_throughput": "5MiB/s", "memtable_heap_space": "8MiB"})
    assert condition(build({1: other}), "SettingsApplied") == (
        "False",
        "NotYet",
        "different from the spec: cs-1: memtable_heap_space is 8MiB, not 32MiB (waits for a restart)",
    )


@pytest.mark.parametrize(
    ("wanted", "actual", "differs"),
    [
        ("16", "16", False),
        ("5", "5.0", False),
        ("0", "1", False),
        ("-1", "4", False),
        ("16", "8", True),
        ("1s", "2s", True),
    ],
)
def test_an_option_has_many_spellings(wanted: str, actual: str, differs: bool) -> None:
    spec = replace(SPEC, parameters={"concurrent_reads": wanted})
    assert bool(configuration.options_drift(spec, {"concurrent_reads": actual})) == differs


def test_what_a_pod_of_an_earlier_template_still_lacks_waits_for_a_restart() -> None:
    assert condition(build(outdated=("cs-0", "cs-1")), "SettingsApplied") == (
        "False",
        "NotYet",
        "different from the spec: cs-0: settings that are read only at start (waits for a restart);"
        " cs-1: settings that are read only at start (waits for a restart)",
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"commitlogSync": "batch"}, "commitlogSync is batch, not periodic"),
        ({"commitlogSyncPeriodMilliseconds": 60000}, "commitlogSyncPeriodMilliseconds is 60000, not 1000"),
        ({"hintedHandoffEnabled": False}, "hintedHandoffEnabled is false, not true"),
        ({"hintWindowSeconds": 1}, "hintWindowSeconds is 1, not 10800"),
        ({"hintsPaused": True}, "hintsPaused is true, not false"),
        ({"hintsDisabledDatacenters": "dc1"}, "hintsDisabledDatacenters is dc1, not none"),
        ({"keyspaceDurableWrites": False}, "keyspaceDurableWrites is false, not true"),
        (
            {"keyspaceReplication": "NetworkTopologyStrategy {dc1=1}"},
            "keyspaceReplication is NetworkTopologyStrategy {dc1=1}, not NetworkTopologyStrategy {dc1=3}",
        ),
    ],
)
def test_durability_is_what_every_member_says_of_itself(settings: dict[str, Any], says: str) -> None:
    durable = condition(build({2: changed(2, **settings)}), "DurabilityApplied")
    assert durable == ("False", "NotInForce", f"cs-2: {says}")


def test_durability_that_all_have_is_told_in_a_sentence_and_what_is_silent_is_unknown() -> None:
    assert condition(build(), "DurabilityApplied") == (
        "True",
        "Observed",
        "on every member the commit log is synced every 1000 ms, hints are kept for 10800 s,"
        " and the keyspace has 3 copies of each key",
    )
    silent = condition(build({1: None}), "DurabilityApplied")
    assert silent == ("Unknown", "NoAnswer", "what cs-1 keeps is unknown: no answer")
    both = condition(build({1: None, 2: changed(2, hintsPaused=True)}), "DurabilityApplied")
    assert both[0] == "False"
    assert "cs-2: hintsPaused is true, not false; what cs-1 keeps is unknown" in both[2]
    dropped = {name: value for name, value in up(0).settings.items() if not name.startswith("keyspace")}
    durable = condition(build({0: up(0, settings=dropped)}), "DurabilityApplied")
    assert "keyspaceDurableWrites is unknown, not true" in durable[2]


def test_a_login_is_made_good_by_one_member_and_only_where_all_have_lost_it() -> None:
    lost_by_all = {number: up(number, application="there is no role caplab") for number in range(3)}
    assert settings_drift.member_to_restore(observed(lost_by_all)) == PODS[0]
    assert settings_drift.member_to_restore(observed({**lost_by_all, 0: None, 1: up(1, application=None)})) == PODS[2]
    # Two that differ would take it from each other again and again.
    assert settings_drift.member_to_restore(observed({**lost_by_all, 2: up(2)})) is None
    assert settings_drift.member_to_restore(observed(dict.fromkeys(range(3), up(0, application=None)))) is None
    assert settings_drift.member_to_restore(observed()) is None


def test_members_are_told_what_differs_and_can_change_while_they_run() -> None:
    changed = {**up(1).settings, "hintedHandoffEnabled": False, "readMilliseconds": 5000, "heapBytes": 1}
    del changed["paxosVariant"]  # one that it does not say could not be seen to be applied
    look = observed({0: None, 1: up(1, settings=changed), 2: STARTS})
    assert settings_drift.live_changes(SPEC, look) == {
        "cs-1": {"hintedHandoffEnabled": "true", "readMilliseconds": "800"}
    }
    assert settings_drift.live_changes(SPEC, observed()) == {}


def test_conditions_keep_their_time_while_they_stay() -> None:
    first = build()
    again = build(so_far=first, now=LATER)
    assert again == first
    assert {row["hostId"] for row in again["members"]} == HOSTS
