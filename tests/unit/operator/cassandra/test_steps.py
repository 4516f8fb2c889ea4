"""What is done next for a CassandraCluster: who begins, who leaves, who restarts, who cleans up, who repairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines.cassandra import maintenance, rollout, steps
from caplab_operator.engines.cassandra.manifests import PersistedState
from caplab_operator.engines.cassandra.observe import Member, Work
from caplab_operator.engines.cassandra.repairs import Repair, repair_of
from caplab_operator.engines.cassandra.ring import Ring
from caplab_operator.engines.cassandra.spec import CassandraSpec, Operations
from caplab_operator.engines.cassandra.steps import Deployed, Persist, Restart, Send, Wait
from caplab_operator.engines.pods import Pod
from support.operator.observed_cassandra import (
    CURRENT,
    HOSTS,
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
    pod,
    ring,
    up,
)
from support.operator.simulated_cassandra import SimulatedCluster

from caplab.contract.names import GENERATION_ANNOTATION, SETTLED_ANNOTATION

Answers = Mapping[int, Member | None]


def step(
    members: Ring,
    deployed: Deployed = CURRENT,
    spec: CassandraSpec = SPEC,
    so_far: Mapping[str, Any] | None = None,
) -> tuple[str, ...] | None:
    """The kind of the step, and what it is about."""
    repair = repair_of(spec, members, so_far or {}, NOW)
    match rollout.next_step(spec, members, deployed, repair):
        case None:
            return None
        case Send(pod=chosen, path=path, query=query):
            return path, chosen.name, *query.values()
        case Restart(chosen):
            return "restart", chosen.name
        case Persist(standing):
            return "keep", str(standing.replicas), ",".join(sorted(standing.settled))
        case Wait(why):
            return "wait", why
    raise AssertionError


def waits(members: tuple[str, ...] | None, why: str) -> bool:
    return members is not None and members[0] == "wait" and why in members[1]


# --- beginning --------------------------------------------------------------------------------------------

NEW: Answers = dict.fromkeys(range(3), WAITS)
FRESH = Deployed(PersistedState(3), "r1", is_current=True)


def test_a_new_cluster_begins_with_its_first_member_once_all_say_that_they_have_no_data() -> None:
    assert step(ring(NEW, so_far={}), FRESH) == ("/start", "cs-0", "first")
    for silent in range(3):
        assert waits(step(ring({**NEW, silent: None}, so_far={}), FRESH), "waits for a member that is up")
    assert waits(step(ring(NEW, PODS[:2], {}), FRESH), "waits for a member that is up")
    assert waits(step(ring({**NEW, 1: replace(WAITS, fresh=False)}, so_far={}), FRESH), "waits for a member")
    going = (PODS[0], pod(1, terminating=True), PODS[2])
    assert waits(step(ring(NEW, going, {}), FRESH), "waits for a member that is up")


def test_a_cluster_begins_anew_where_all_data_is_lost() -> None:
    assert step(ring(NEW)) == ("/start", "cs-0", "first")


FIRST_UP: Answers = {0: up(0, [0]), 1: WAITS, 2: WAITS}


def test_the_others_join_one_after_the_other() -> None:
    assert waits(step(ring({**NEW, 0: STARTS}, so_far={}), FRESH), "waits until cs-0 has started")
    assert step(ring(FIRST_UP, so_far={}), FRESH) == ("/start", "cs-1", "joining")
    joining = {0: replace(up(0, [0, 1]), joining=frozenset({address(1)})), 1: STARTS, 2: WAITS}
    assert waits(step(ring(joining, so_far={}), FRESH), "cs-1 is joining")
    assert step(ring({0: up(0, [0, 1]), 1: up(1, [0, 1]), 2: WAITS}, so_far={}), FRESH) == ("/start", "cs-2", "joining")


TWO = {0: up(0, [0, 1]), 1: up(1, [0, 1]), 2: WAITS}


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({**TWO, 0: up(0, [0, 1], down=[1])}, "until cs-1 is seen up by all"),
        ({**TWO, 0: up(0, [0, 1], down=[1]), 1: None}, "until cs-0 is seen up by all"),
        ({**TWO, 1: STARTS}, "until cs-1 has started"),
        ({**TWO, 1: leaving(1, others=[0, 1]), 0: up(0, [0, 1], leaving=frozenset({address(1)}))}, "cs-1 has left"),
        ({**TWO, 0: up(0, [0, 1], schemas={address(0): "s1", address(1): "s2"})}, "agree on the schema"),
    ],
)
def test_nobody_joins_while_another_is_not_up_for_all(members: Answers, why: str) -> None:
    assert waits(step(ring(members, so_far=before(0, 1))), why)


def test_nobody_joins_while_a_member_that_is_down_has_no_pod() -> None:
    views = {number: up(number, [0, 1, 2], down=[2]) for number in (0, 1)}
    members = ring({**views, 3: WAITS}, (*PODS[:2], pod(3)), before(0, 1, 2))
    assert waits(step(members, spec=replace(SPEC, replicas=4)), "until cs-2 is seen up by all")


def test_one_that_has_left_keeps_nobody_from_joining() -> None:
    gone = up(3, mode="DECOMMISSIONED", native=False)
    members = ring({**TWO, 3: gone}, (*PODS, pod(3)), before(0, 1))
    assert step(members, Deployed(PersistedState(4, HOSTS), "r1", True)) == ("/start", "cs-2", "joining")


def test_one_that_has_not_been_heard_of_yet_keeps_nobody_from_joining() -> None:
    assert step(ring({0: up(0, [0]), 1: WAITS, 2: None}, so_far={})) == ("/start", "cs-1", "joining")


def test_a_member_that_lost_its_data_takes_its_own_place_once_all_see_it_down() -> None:
    moved = (PODS[0], pod(1, address="10.0.9.9"), PODS[2])
    assert waits(step(ring({1: WAITS}, moved)), "cs-1 lost its data, and waits until the others see it down")
    half = {0: up(0, down=[1]), 1: WAITS}
    assert waits(step(ring(half, moved)), "until the others see it down")
    assert step(ring(lost(1) | {1: WAITS}, moved)) == ("/start", "cs-1", "10.0.0.1")


def test_who_lost_their_data_come_back_one_by_one_even_where_others_are_still_down() -> None:
    alone = up(2, down=[0, 1])
    assert step(ring({0: WAITS, 1: WAITS, 2: alone})) == ("/start", "cs-0", "10.0.0.0")
    assert step(ring({0: None, 1: WAITS, 2: alone})) == ("/start", "cs-1", "10.0.0.1")
    assert waits(step(ring({0: STARTS, 1: WAITS, 2: alone})), "waits until cs-0 has started")
    assert waits(step(ring({0: None, 1: WAITS, 2: None})), "waits for a member that is up")


def test_an_attempt_to_join_that_failed_is_no_place_to_take() -> None:
    remnant = replace(up(0, [0, 1, 2], down=[2]), joining=frozenset({address(2)}))
    assert waits(step(ring({0: remnant, 1: up(1, [0, 1]), 2: WAITS})), "forgotten its attempt")


def test_a_host_that_another_claims_is_nobodys_place_to_take() -> None:
    pods = (PODS[0], PODS[1], pod(2, address="10.0.9.9"))
    so_far = before(0, 1, members=[*before(0, 1)["members"], {"name": "cs-2", "hostId": "h1", "address": ""}])
    assert step(ring(TWO, pods, so_far)) == ("/start", "cs-2", "joining")


def test_a_pod_that_is_ending_is_told_nothing() -> None:
    assert waits(step(ring(FIRST_UP, (PODS[0], pod(1, terminating=True), PODS[2]), {})), "cs-1 is ending")


# --- leaving ----------------------------------------------------------------------------------------------

FIVE = tuple(pod(number) for number in range(5))
ALL = range(5)
GROWN = Deployed(PersistedState(5, frozenset(map(host, ALL))), "r1", is_current=True)


def five(changes: Answers | None = None, others: Sequence[int] = ALL) -> Ring:
    members: dict[int, Member | None] = {number: up(number, others) for number in ALL if number in others}
    return ring({**members, **(changes or {})}, FIVE, before(*ALL))


def five_seeing(leaves: int) -> dict[int, Member | None]:
    return {number: up(number, ALL, leaving=frozenset({address(leaves)})) for number in ALL if number != leaves}


LEFT = up(4, ALL, mode="DECOMMISSIONED", native=False)


def test_members_leave_the_ring_before_their_pods_go_the_last_first() -> None:
    assert step(five(), GROWN) == ("/decommission", "cs-4", "cs-4")
    assert waits(step(five({**five_seeing(4), 4: leaving(4, others=ALL)}), GROWN), "cs-4 is leaving")
    assert waits(step(five({4: up(4, ALL, work=Work("decommission", "cs-4", "running"))}), GROWN), "cs-4 is leaving")
    kept = ("keep", "4", "h0,h1,h2,h3,h4")
    assert step(five({4: LEFT}, others=range(4)), GROWN) == kept
    # its process was started again since, or is silent: nobody in the ring knows it
    assert step(five({4: WAITS}, others=range(4)), GROWN) == kept
    assert step(five({4: None}, others=range(4)), GROWN) == kept


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({4: None}, "cs-4 is not seen up by all"),
        ({2: None, **{n: up(n, ALL, down=[2]) for n in (0, 1, 3, 4)}}, "not seen up by all: cs-2"),
        ({0: up(0, ALL, down=[4])}, "cs-4 is not seen up by all"),
        ({4: STARTS}, "cs-4 is not seen up by all"),
        (dict.fromkeys(ALL), "not seen up by all"),
    ],
)
def test_nobody_leaves_while_a_copy_might_be_lost_by_it(members: Answers, why: str) -> None:
    assert waits(step(five(members), GROWN), why)


def test_nobody_goes_by_what_is_not_known() -> None:
    assert waits(step(ring(dict.fromkeys(ALL), FIVE, {}), GROWN), "not seen up by all")
    four = Deployed(PersistedState(4, HOSTS), "r1", True)
    begins = ring({3: STARTS}, FIVE[:4], before(0, 1, 2))
    assert waits(step(begins, four), "cs-3 is not seen up by all")
    no_pod = ring({number: up(number, ALL) for number in (0, 1, 3, 4)}, FIVE[:2] + FIVE[3:], before(*ALL))
    assert waits(step(no_pod, GROWN), "there are 4 pods")


def test_a_member_that_is_silent_while_somebody_unknown_is_in_the_ring_may_be_that_one() -> None:
    views = {number: up(number, [0, 1, 2, 3, 8], down=[8]) for number in range(4)}
    assert waits(step(five({**views, 4: None}), GROWN), "not seen up by all")


def test_a_leave_that_failed_is_tried_once_more_and_the_reason_told() -> None:
    failed = replace(leaving(4, "failed", others=ALL), work=Work("decommission", "cs-4", "failed", "stream failed"))
    chosen = rollout.next_step(SPEC, five({**five_seeing(4), 4: failed}), GROWN, None)
    assert isinstance(chosen, Send)
    assert (chosen.path, "once more (stream failed)" in chosen.why) == ("/decommission", True)


def test_newcomers_that_are_not_wanted_any_more_never_join() -> None:
    members = {**{n: up(n) for n in range(3)}, 3: WAITS, 4: WAITS}
    assert step(ring(members, FIVE, before(0, 1, 2)), GROWN) == ("keep", "4", "h0,h1,h2,h3,h4")


def test_a_member_that_has_left_and_is_wanted_again_joins_anew() -> None:
    gone = up(2, mode="DECOMMISSIONED", native=False, fresh=True)
    members = {0: up(0, [0, 1]), 1: up(1, [0, 1]), 2: gone}
    assert step(ring(members)) == ("restart", "cs-2")
    # until that is written down it would come back as what it was
    assert step(ring({**members, 2: replace(gone, fresh=False)})) is None
    assert step(ring({**members, 2: WAITS})) == ("/start", "cs-2", "joining")


def test_a_set_that_is_too_small_grows() -> None:
    assert step(ring(), replace(CURRENT, persisted=PersistedState(2, HOSTS))) == ("keep", "3", "h0,h1,h2")


@pytest.mark.parametrize(("current", "wanted"), [(None, 3), (2, 3), (3, 3), (5, 5)])
def test_an_applied_spec_never_takes_members_away(current: int | None, wanted: int) -> None:
    deployed = Deployed(PersistedState(current, HOSTS), "r1", True) if current else None
    assert steps.persisted_for(SPEC, deployed) == PersistedState(wanted, HOSTS if current else frozenset())


# --- restarting -------------------------------------------------------------------------------------------


def revised(*revisions: str) -> list[Pod]:
    return [replace(pod, revision=revision) for pod, revision in zip(PODS, revisions, strict=True)]


OLD = revised("r0", "r0", "r0")


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        (ring(), None),
        (ring({}, OLD), ("restart", "cs-2")),
        (ring({}, revised("r0", "r0", "r1")), ("restart", "cs-1")),
        (ring(lost(2) | {2: STARTS}, revised("r0", "r0", "r1")), ("wait", "2 of 3 members to restart: not ready: cs-")),
        (ring({2: up(2, native=False)}, revised("r0", "r0", "r1")), ("wait", "2 of 3 members to restart: not ready")),
        (ring(lost(2), revised("r0", "r0", "r1")[:2]), ("wait", "2 of 3 members to restart: not ready: cs-2 (DN")),
        (ring(lost(1) | {1: up(1, down=[0, 2])}, OLD), ("wait", "3 of 3 members to restart: not ready")),
        # one that does not even run is replaced whatever else there is; one that only nobody hears is not
        (ring(lost(1) | {1: None}, [OLD[0], replace(OLD[1], ready=False), OLD[2]]), ("restart", "cs-1")),
        (ring(lost(1) | {1: None}, OLD), ("wait", "3 of 3")),
        (ring({1: None}, [OLD[0], replace(OLD[1], ready=False), OLD[2]]), ("wait", "3 of 3")),
        (ring(lost(1) | {1: STARTS}, [OLD[0], replace(OLD[1], ready=False), OLD[2]]), ("wait", "3 of 3")),
        (ring(NEW, OLD, {}), ("restart", "cs-2")),
    ],
)
def test_members_are_restarted_one_by_one_while_all_others_serve(members: Ring, wanted: tuple[str, str] | None) -> None:
    chosen = step(members)
    assert (chosen and chosen[0]) == (wanted and wanted[0])
    assert wanted is None or (chosen is not None and chosen[1].startswith(wanted[1]))


def test_nothing_is_restarted_or_resized_by_what_is_not_yet_known() -> None:
    for standing in (PersistedState(3, HOSTS), PersistedState(5, HOSTS)):
        assert waits(step(ring({}, OLD), Deployed(standing, "r1", False)), "does not match the spec yet")


def test_who_waits_begins_even_while_the_set_is_not_yet_known() -> None:
    assert step(ring(FIRST_UP, so_far={}), Deployed(PersistedState(3), "", False)) == ("/start", "cs-1", "joining")


def test_the_set_is_read_as_it_was_made() -> None:
    annotations = {GENERATION_ANNOTATION: "3", SETTLED_ANNOTATION: "h0,h1"}
    made = {"metadata": {"generation": 7, "annotations": annotations}, "spec": {"replicas": 4}}
    from_server = {**made, "status": {"observedGeneration": 7, "updateRevision": "r9"}}
    assert steps.deployed_from(SPEC, from_server) == Deployed(PersistedState(4, frozenset({"h0", "h1"})), "r9", True)
    assert not steps.deployed_from(replace(SPEC, generation=4), from_server).is_current
    assert not steps.deployed_from(SPEC, made).is_current
    bare = {"metadata": {"generation": 7}, "spec": {"replicas": 4}}
    assert steps.deployed_from(SPEC, bare).persisted == PersistedState(4)


# --- maintenance ------------------------------------------------------------------------------------------

SETTLED_BEFORE = replace(CURRENT, persisted=PersistedState(3, frozenset({"h0", "h1"})))
CLEANUP = maintenance.cleanup_name(HOSTS)


def at(kind: str, id_: str, state: str, number: int, problem: str = "") -> Member:
    return up(number, work=Work(kind, id_, state, problem))


def test_after_a_join_the_others_drop_what_is_not_theirs_any_more_one_by_one() -> None:
    chosen = rollout.next_step(SPEC, ring(), SETTLED_BEFORE, None)
    assert isinstance(chosen, Send)
    assert chosen.is_maintenance
    assert step(ring(), SETTLED_BEFORE) == ("/cleanup", "cs-0", CLEANUP)
    assert waits(step(ring({0: at("cleanup", CLEANUP, "running", 0)}), SETTLED_BEFORE), "cs-0 is running a cleanup")
    first = at("cleanup", CLEANUP, "done", 0)
    assert step(ring({0: first}), SETTLED_BEFORE) == ("/cleanup", "cs-1", CLEANUP)
    both: Answers = {0: first, 1: at("cleanup", CLEANUP, "failed", 1)}
    assert step(ring(both), SETTLED_BEFORE) == ("keep", "3", "h0,h1,h2")


@pytest.mark.parametrize("settled", [(), ("h0", "h1", "h7"), ("h0", "h1", "h2", "h3")])
def test_nothing_is_dropped_after_a_first_start_a_replacement_or_a_leave(settled: tuple[str, ...]) -> None:
    deployed = replace(CURRENT, persisted=PersistedState(3, frozenset(settled)))
    assert step(ring(), deployed) == ("keep", "3", "h0,h1,h2")
    assert step(ring({1: None}), deployed) is None


def test_a_ring_whose_hosts_are_not_known_is_not_written_down() -> None:
    alone = ring({0: up(0, [], host_id="")}, PODS[:1], {})
    assert alone.rows[0].is_ready
    assert step(alone, Deployed(PersistedState(1), "r1", True), replace(SPEC, replicas=1)) is None


REPAIR_REQUESTED = replace(SPEC, operations=Operations("r1", ""))


def test_a_repair_goes_from_member_to_member() -> None:
    assert step(ring(), spec=REPAIR_REQUESTED) == ("/repair", "cs-0", "r1")
    assert waits(
        step(ring({0: at("repair", "r1", "running", 0)}), spec=REPAIR_REQUESTED),
        "repair r1: 0 members done: cs-0 is running",
    )
    done = {0: at("repair", "r1", "done", 0)}
    assert step(ring(done), spec=REPAIR_REQUESTED) == ("/repair", "cs-1", "r1")
    # its process forgot, but the status has it
    so_far = {"repair": {"request": "r1", "done": ["cs-0"]}}
    assert step(ring(), spec=REPAIR_REQUESTED, so_far=so_far) == ("/repair", "cs-1", "r1")
    assert waits(step(ring({2: None}), spec=REPAIR_REQUESTED), "repair r1: 0 members done: not ready: cs-2")
    busy = {2: at("cleanup", "c", "running", 2)}
    assert waits(step(ring(busy), spec=REPAIR_REQUESTED), "cs-2 is running a cleanup")


def repair(
    members: Answers | None = None, so_far: Mapping[str, Any] | None = None, request: str = "r1"
) -> Repair | None:
    spec = replace(SPEC, operations=Operations(request, ""))
    return repair_of(spec, ring(members), {"repair": so_far} if so_far else {}, NOW)


def test_a_repair_is_done_when_all_have_done_their_part_and_stays_so() -> None:
    parts: Answers = {number: at("repair", "r1", "done", number) for number in range(3)}
    whole = Repair("r1", ("cs-0", "cs-1", "cs-2"), at=NOW)
    assert repair(parts) == whole
    assert whole.as_status() == {"request": "r1", "done": ["cs-0", "cs-1", "cs-2"], "at": NOW}
    assert repair({}, whole.as_status()) == whole
    assert step(ring(), spec=REPAIR_REQUESTED, so_far={"repair": whole.as_status()}) is None
    assert repair({}, whole.as_status(), request="") == whole
    assert repair({}, whole.as_status(), request="r2") == Repair("r2")
    assert repair({}, None, request="") is None
    assert repair({**parts, 1: at("repair", "r0", "done", 1)}) == Repair("r1", ("cs-0", "cs-2"))
    assert repair(parts, {"request": "r1", "done": ["cs-2"]}) == Repair("r1", ("cs-2", "cs-0", "cs-1"), at=NOW)
    two = ring({number: at("repair", "r1", "done", number) for number in range(2)}, PODS[:2])
    assert repair_of(REPAIR_REQUESTED, two, {}, NOW) == Repair("r1", ("cs-0", "cs-1"))


def test_a_repair_that_failed_says_why_and_is_not_tried_again_for_the_same_request() -> None:
    failed = repair({1: at("repair", "r1", "failed", 1, "x" * 600)})
    assert failed is not None
    assert (failed.problem[:10], len(failed.problem)) == ("cs-1: xxxx", 500)
    assert step(ring({1: at("repair", "r1", "failed", 1, "no")}), spec=REPAIR_REQUESTED) is None
    assert repair({}, {"request": "r1", "done": [], "problem": "no"}) == Repair("r1", problem="no")
    again = replace(SPEC, operations=Operations("r2", ""))
    assert step(ring(), spec=again, so_far={"repair": failed.as_status()}) == ("/repair", "cs-0", "r2")


def test_cleaning_up_comes_before_a_repair_and_restarts_before_both() -> None:
    assert step(ring(), SETTLED_BEFORE, REPAIR_REQUESTED) == ("/cleanup", "cs-0", CLEANUP)
    assert step(ring({}, OLD), SETTLED_BEFORE, REPAIR_REQUESTED) == ("restart", "cs-2")


# --- a whole life -----------------------------------------------------------------------------------------


def settle(cluster: SimulatedCluster) -> list[str]:
    """What the operator did until nothing was left to do."""
    cluster.steps_taken.clear()
    for _ in range(60):
        if cluster.tick() is None and cluster.status["phase"] == "Ready":
            return list(cluster.steps_taken)
    raise AssertionError(f"never settles: {cluster.status}")


def test_a_cluster_is_made_grows_shrinks_restarts_and_is_repaired() -> None:
    cluster = SimulatedCluster(spec=SPEC)
    cluster.reconcile(SPEC)
    assert settle(cluster) == ["start first/cs-0", "start joining/cs-1", "start joining/cs-2"]
    cluster.kill("cs-1", wipe=False)
    assert settle(cluster) == []
    cluster.kill("cs-1", wipe=True)
    assert settle(cluster) == ["start 10.0.0.4/cs-1"]
    cluster.reconcile(replace(SPEC, replicas=4))
    assert settle(cluster) == ["start joining/cs-3", "cleanup cs-0", "cleanup cs-1", "cleanup cs-2"]
    cluster.reconcile(replace(SPEC, operations=Operations("", "once more")))
    assert settle(cluster) == ["decommission cs-3", "restart cs-2", "restart cs-1", "restart cs-0"]
    cluster.reconcile(replace(cluster.spec, operations=Operations("r1", "once more")))
    assert settle(cluster) == ["repair cs-0", "repair cs-1", "repair cs-2"]
    assert cluster.status["repair"]["at"]
