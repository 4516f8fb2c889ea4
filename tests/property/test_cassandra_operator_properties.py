"""The Cassandra engine under random specs, such as the kind's schema lets through, looks, and lives of clusters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from caplab_operator.engines.cassandra import configuration, manifests, repairs, rollout, settings_drift, status, steps
from caplab_operator.engines.cassandra.manifests import PersistedState
from caplab_operator.engines.cassandra.observe import Member, ObservedCassandra, Place, Work, member_from
from caplab_operator.engines.cassandra.ring import RingMember
from caplab_operator.engines.cassandra.ring_state import ring_of
from caplab_operator.engines.cassandra.spec import CassandraSpec, Operations, parse
from caplab_operator.engines.cassandra.steps import Deployed, Persist, Restart, Send
from caplab_operator.engines.pods import Pod, ordinal
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.chart.parameter_values import parameters
from support.chart.random_specs import NAMES, OBJECT_NAME, body_of, by_schema, schema_of
from support.effort import cases
from support.operator.observed_cassandra import CRD, SPEC, ZONES, pod, up
from support.operator.simulated_cassandra import SimulatedCluster

pytestmark = pytest.mark.property

SCHEMA = schema_of(CRD)
_LIVE = ("replicas", "phiConvictThreshold", "paxosVariant", "timeouts")

specs = by_schema(SCHEMA, parameters("cassandra", 5))


def spec_of(spec: Mapping[str, Any], name: str = "cs") -> CassandraSpec:
    return parse(body_of("CassandraCluster", spec, name))


@given(specs, NAMES, st.none() | st.integers(1, 9))
def test_whatever_is_asked_for_can_be_built_and_is_owned_and_named_well(
    spec_fields: dict[str, Any], name: str, current: int | None
) -> None:
    spec = spec_of(spec_fields, name)
    standing = steps.persisted_for(spec, Deployed(PersistedState(current), "", True) if current else None)
    made = [*manifests.build(spec, "image", "lab", ZONES, standing), *manifests.secrets(spec, lambda _: "x")]
    for item in made:
        owner = item["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("CassandraCluster", name, True)
        assert OBJECT_NAME.fullmatch(item["metadata"]["name"])
        assert all(len(value) <= 63 for value in item["metadata"]["labels"].values())
    (size,) = [item["spec"]["replicas"] for item in made if item["kind"] == "StatefulSet"]
    assert size == max(spec_fields["replicas"], current or 0)
    parsed = yaml.safe_load(configuration.cassandra_yaml(spec))
    assert parsed["cluster_name"] == name
    assert len(configuration.cassandra_yaml(spec).splitlines()) == len(parsed)
    assert all(re.fullmatch(r"[A-Za-z0-9./_-]+", str(value)) for key, value in parsed.items() if key != "cluster_name")


@given(specs, specs)
def test_what_can_change_live_never_changes_a_pod(first: dict[str, Any], other: dict[str, Any]) -> None:
    hints = {**other["hintedHandoff"], "flushPeriodMilliseconds": first["hintedHandoff"]["flushPeriodMilliseconds"]}
    operations = {**first["operations"], "repair": other["operations"]["repair"]}
    live = {name: other[name] for name in _LIVE} | {"hintedHandoff": hints, "operations": operations}
    made = [
        manifests.stateful_set(spec_of(spec), "image", PersistedState(3))["spec"]["template"]
        for spec in (first, {**first, **live})
    ]
    assert made[0] == made[1]


@given(specs, specs)
def test_telling_what_differs_leaves_no_difference(first: dict[str, Any], other: dict[str, Any]) -> None:
    actual, wanted = spec_of(first), spec_of(other)
    look = ObservedCassandra(Place((pod(0),), "pw"), {"cs-0": up(0, settings=configuration.settings(actual))})
    changes = settings_drift.live_changes(wanted, look).get("cs-0", {})
    live = configuration.live_settings(wanted)
    now = {**configuration.live_settings(actual), **{name: live[name] for name in changes}}
    assert configuration.drift(live, now) == {}
    assert all(configuration.as_text(live[name]) == text for name, text in changes.items())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
)
fields = st.sampled_from(
    ["stage", "fresh", "mode", "hostId", "native", "live", "joining", "hostIds", "owns", "schemas", "settings", "work"]
)


@given(json_values | st.dictionaries(fields, json_values))
def test_whatever_is_answered_is_a_member_or_none(answer: Any) -> None:
    try:
        member = member_from(answer)
    except (AttributeError, KeyError, TypeError, ValueError):
        return
    assert isinstance(member, Member)
    assert isinstance(answer["stage"], str)


addresses = st.sampled_from([f"10.0.0.{number}" for number in range(5)])
hosts = st.sampled_from(["", *(f"h{number}" for number in range(5))])
works = st.builds(
    Work, st.sampled_from(["", "decommission", "repair", "cleanup"]), st.sampled_from(["", "r", "cs-3"]),
    st.sampled_from(["", "running", "done", "failed"]), st.just("why"),
)  # fmt: skip
members = st.builds(
    Member,
    stage=st.sampled_from(["waiting", "starting", "running", "failed", "odd"]),
    problem=st.just(""),
    fresh=st.booleans(),
    work=works,
    mode=st.sampled_from(["", "NORMAL", "LEAVING", "DECOMMISSIONED", "JOINING"]),
    host_id=hosts,
    native=st.booleans(),
    live=st.frozensets(addresses),
    joining=st.frozensets(addresses, max_size=1),
    leaving=st.frozensets(addresses, max_size=1),
    host_ids=st.dictionaries(addresses, hosts),
    owns=st.dictionaries(addresses, st.floats(0, 1)),
    schemas=st.dictionaries(addresses, st.sampled_from(["s", "t"])),
    settings=st.just(configuration.settings(SPEC)),
)


@st.composite
def looks(draw: st.DrawFn) -> ObservedCassandra:
    there = draw(st.lists(st.integers(0, 4), unique=True))
    pods: tuple[Pod, ...] = tuple(
        pod(
            number, address=draw(st.none() | addresses), revision=draw(st.sampled_from(["r0", "r1"])),
            ready=draw(st.booleans()), terminating=draw(st.booleans()),
        )
        for number in there
    )  # fmt: skip
    answers = {pod.name: answer for pod in pods if (answer := draw(st.none() | members))}
    return ObservedCassandra(Place(pods, "pw"), answers)


statuses = st.fixed_dictionaries(
    {
        "members": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from([f"cs-{n}" for n in range(5)]), "hostId": hosts, "address": addresses}
            ),
            unique_by=lambda row: str(row["name"]),
        )
    }
)


def two_members(waiting: Member, running: Member, *others: Member, at: str = "10.0.0.1") -> ObservedCassandra:
    """cs-0 waits; cs-1 and others run, from an address on."""
    numbers = range(len(others) + 2)
    addresses = ["10.0.0.9", at, *(f"10.0.0.{number + 5}" for number in numbers)]
    pods = tuple(pod(number, address=addresses[number]) for number in numbers)
    return ObservedCassandra(
        Place(pods, "pw"), {f"cs-{number}": member for number, member in enumerate((waiting, running, *others))}
    )


def running(host: str, host_ids: Mapping[str, str], live: set[str]) -> Member:
    return Member(stage="running", mode="NORMAL", host_id=host, native=True, live=frozenset(live), host_ids=host_ids)


def takes_part(row: RingMember) -> bool:
    """Whether it runs, and has not left by its own word and everybody's."""
    has_left = row.member is not None and row.member.mode == "DECOMMISSIONED" and not row.state
    return row.stage == "running" and not has_left


WAITS = Member(stage="waiting", fresh=True)
LEFT = Member(stage="running", mode="DECOMMISSIONED", host_id="h1", native=True)
WAS_H1: dict[str, Any] = {"members": [{"name": "cs-0", "hostId": "h1", "address": "10.0.0.1"}]}


@example(  # two members claim one host id: who is up with it must not be replaced by who waits
    two_members(replace(WAITS, host_id="h1"), running("h1", {"10.0.0.1": "h1"}, set())), {"members": []}, 2, 2, True, ""
)
@example(  # another host is at the former address, by its own word alone
    two_members(WAITS, running("h2", {"10.0.0.1": "h1"}, set())), WAS_H1, 2, 2, True, ""
)
@example(  # views differ: one still has h1 there, the other sees h2 up
    two_members(
        WAITS, running("h3", {"10.0.0.1": "h1"}, set()),
        running("h4", {"10.0.0.4": "h1", "10.0.0.1": "h2"}, {"10.0.0.1"}),
        at="10.0.0.2",
    ), WAS_H1, 3, 3, True, "",
)  # fmt: skip
@example(  # one view has the host at two addresses, and sees it up at the second
    two_members(WAITS, running("h3", {"10.0.0.1": "h1", "10.0.0.4": "h1"}, {"10.0.0.4"}), at="10.0.0.2"),
    WAS_H1, 2, 2, True, "",
)  # fmt: skip
@example(  # one says that it has left, and the others that it is down: nobody joins before they agree
    two_members(WAITS, LEFT, running("h3", {"10.0.0.1": "h1", "10.0.0.7": "h3"}, {"10.0.0.7"})),
    {"members": []}, 3, 3, True, "",
)  # fmt: skip
@example(  # one says that it has left, and serves by all others' word: it is not ended while another is away
    two_members(
        WAITS, replace(LEFT, fresh=True), running("h3", {"10.0.0.1": "h1", "10.0.0.7": "h3"}, {"10.0.0.1", "10.0.0.7"})
    ), {"members": []}, 3, 3, True, "",
)  # fmt: skip
@given(looks(), statuses, st.integers(1, 5), st.integers(1, 5), st.booleans(), st.sampled_from(["", "r"]))
def test_whatever_is_seen_has_a_status_and_no_step_that_could_lose_data(
    look: ObservedCassandra, so_far: dict[str, Any], size: int, wanted: int, is_current: bool, request: str
) -> None:
    spec = replace(SPEC, replicas=wanted, operations=Operations(request, ""))
    ring = ring_of(look, so_far)
    repair = repairs.repair_of(spec, ring, so_far, "2026-01-01T00:00:00Z")
    step = rollout.next_step(spec, ring, Deployed(PersistedState(size), "r1", is_current), repair)
    done = status.RoundResult(
        refusals={}, rollout=step.why if step else "", is_settled=step is None or step.is_maintenance, repair=repair
    )
    written = status.build(spec, look, ring, so_far, "2026-01-01T00:00:00Z", done)
    assert {row["state"] for row in written["members"]} <= {"UN", "DN", "UJ", "UL", ""}
    assert (written["phase"] == "Ready") <= (written["readyMembers"] == wanted)
    rows = {row.name: row for row in ring.rows}
    match step:
        case Send(pod=chosen, path="/start", query=query):
            assert rows[chosen.name].waits
            if query.get("as") == "first":
                assert all(row.waits for row in ring.rows)
            elif old := query.get("replacing"):
                assert all(old not in view.live for view in ring.views.values())
                assert not any(row.host_id and row.address == old and row.is_up for row in ring.rows)
                host = rows[chosen.name].host_id
                assert not any(view.host_ids.get(at) == host for view in ring.views.values() for at in view.live)
            else:
                assert all(row.is_up for row in ring.rows if row.host_id and not row.waits and takes_part(row))
        case Send(pod=chosen, path="/decommission", query=_):
            assert all(row.is_up for row in ring.rows if row.name != chosen.name)
            assert ordinal(chosen.name) == size - 1 >= wanted
        case Persist(standing) if standing.replicas < size:
            (going,) = [row for row in ring.rows if ordinal(row.name) == size - 1]
            assert (
                going.member is None
                or going.member.mode == "DECOMMISSIONED"
                or going.stage not in ("running", "starting")
            )
            assert standing.replicas == size - 1 >= wanted
        case Restart(chosen):
            others = [row for row in ring.rows if row.name != chosen.name]
            assert not rows[chosen.name].is_ready or all(row.is_ready for row in others)


events = st.one_of(
    st.tuples(st.just("kill"), st.integers(0, 4), st.booleans()),
    st.tuples(st.just("size"), st.integers(1, 5), st.just(False)),
    st.tuples(st.just("restart"), st.integers(0, 99), st.just(False)),
    st.tuples(st.just("repair"), st.integers(0, 99), st.just(False)),
    st.tuples(st.just("ticks"), st.integers(1, 6), st.just(False)),
)


def happen(cluster: SimulatedCluster, what: str, number: int, wipe: bool) -> None:
    operations = cluster.spec.operations
    match what:
        case "kill":
            cluster.kill(f"cs-{number}", wipe)
        case "size":
            cluster.reconcile(replace(cluster.spec, replicas=number))
        case "restart":
            cluster.reconcile(replace(cluster.spec, operations=replace(operations, restart=str(number))))
        case "repair":
            cluster.reconcile(replace(cluster.spec, operations=replace(operations, repair=str(number))))
        case _:
            for _ in range(number):
                cluster.tick()


@settings(max_examples=cases(150))
@given(st.integers(1, 4), st.lists(events, max_size=12))
def test_whatever_happens_to_a_cluster_it_becomes_what_was_asked_for(size: int, happens: list[Any]) -> None:
    spec = replace(SPEC, replicas=size)
    cluster = SimulatedCluster(spec=spec)
    cluster.reconcile(spec)
    for what, number, wipe in happens:
        happen(cluster, what, number, wipe)
    for _ in range(200):
        if cluster.tick() is None and cluster.status["phase"] == "Ready":
            break
    assert (cluster.status["phase"], cluster.status["readyMembers"]) == ("Ready", cluster.spec.replicas), cluster.status
    assert len(cluster.hosts) == cluster.spec.replicas, "somebody is in the ring that is no member"
    request = cluster.spec.operations.repair
    assert not request or cluster.status["repair"]["request"] == request
