"""Rollouts of random PostgresClusters, carried out on a made-up cluster: they end, and cost as little as they may."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from caplab_operator.engines.pods import ordinal
from caplab_operator.engines.postgres import rollout, settings
from caplab_operator.engines.postgres.observe import ObservedPostgres
from caplab_operator.engines.postgres.rollout import RestartPostgres, Switchover
from caplab_operator.engines.postgres.spec import PostgresSpec
from caplab_operator.engines.rolling import Deployed, Resize, Restart
from hypothesis import given
from hypothesis import strategies as st
from support.operator.observed_postgres import SPEC, answer, observed, pod, reading, setting

pytestmark = pytest.mark.property
MAX_STEPS = 40


@dataclass(kw_only=True)
class SimulatedCluster:
    """A cluster as it stands: each member's pod revision, and how many connections its Postgres has."""

    spec: PostgresSpec
    revisions: list[str]
    connections: list[int]
    primary: int
    wanted_connections: int
    switchovers: int = 0

    def observed(self) -> ObservedPostgres:
        names = [f"pg-{number}" for number in range(len(self.revisions))]
        readings, answers = {}, {}
        for number, name in enumerate(names):
            has = str(self.connections[number])
            readings[name] = reading(self.spec, {"max_connections": setting("max_connections", has, kind="integer")})
            if self.connections[number] != self.wanted_connections:
                reasons = {"max_connections": {"old_value": has, "new_value": str(self.wanted_connections)}}
                answers[name] = answer(name, f"pg-{self.primary}", pending_restart_reason=reasons)
        pods = [pod(name, revision=revision) for name, revision in zip(names, self.revisions, strict=True)]
        return observed(self.spec, f"pg-{self.primary}", pods, answers, readings)

    def step(self) -> rollout.Step | None:
        look = self.observed()
        deployed = Deployed(len(self.revisions), "r1", is_current=True)
        return rollout.next_step(self.spec, look, deployed, settings.gaps(self.spec, look))

    def start(self, member: int) -> None:
        """With what is asked for; no standby has less than its primary."""
        least = 0 if member == self.primary else self.connections[self.primary]
        self.connections[member] = max(self.wanted_connections, least)

    def take(self, step: rollout.Step) -> None:
        match step:
            case Restart(chosen):
                assert ordinal(chosen.name) != self.primary or len(self.revisions) == 1
                self.revisions[ordinal(chosen.name)] = "r1"
                self.start(ordinal(chosen.name))
            case RestartPostgres(chosen):
                self.start(ordinal(chosen.name))
            case Switchover(former, candidate):
                assert ordinal(former.name) == self.primary
                assert ordinal(candidate) < self.spec.replicas
                self.primary, self.switchovers = ordinal(candidate), self.switchovers + 1
                self.start(ordinal(former.name))
            case Resize(replicas):
                assert self.primary < replicas
                more = replicas - len(self.revisions)
                self.revisions = [*self.revisions[:replicas], *("r1" for _ in range(more))]
                self.connections = [*self.connections[:replicas], *(self.wanted_connections for _ in range(more))]
            case _:
                raise AssertionError(step)


@st.composite
def clusters(draw: st.DrawFn) -> SimulatedCluster:
    members, replicas = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    durability = draw(st.sampled_from(["async", "quorum"])) if replicas > 1 and members > 1 else "async"
    wanted_connections, had = draw(st.sampled_from([100, 240, 300])), draw(st.sampled_from([100, 240, 300]))
    spec = replace(
        SPEC, replicas=replicas, durability=durability, parameters={"max_connections": str(wanted_connections)}
    )
    revisions = draw(st.lists(st.sampled_from(["r0", "r1"]), min_size=members, max_size=members))
    return SimulatedCluster(
        spec=spec,
        revisions=revisions,
        connections=[had] * members,
        primary=draw(st.integers(0, members - 1)),
        wanted_connections=wanted_connections,
    )


@given(clusters())
def test_a_rollout_ends_as_asked_and_its_primary_hands_over_no_more_than_it_must(cluster: SimulatedCluster) -> None:
    shrinks = cluster.primary >= cluster.spec.replicas
    for _ in range(MAX_STEPS):
        step = cluster.step()
        if step is None:
            break
        cluster.take(step)
    assert cluster.step() is None
    assert cluster.revisions == ["r1"] * cluster.spec.replicas
    assert cluster.connections == [cluster.wanted_connections] * cluster.spec.replicas
    assert cluster.switchovers <= 1 + shrinks
