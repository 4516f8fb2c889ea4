"""A simulated CassandraCluster that obeys one step at a time, to try the operator's decisions on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from caplab_operator.engines.cassandra import configuration, rollout, status
from caplab_operator.engines.cassandra.manifests import PersistedState
from caplab_operator.engines.cassandra.observe import Member, ObservedCassandra, Place, Work
from caplab_operator.engines.cassandra.repairs import repair_of
from caplab_operator.engines.cassandra.ring_state import ring_of
from caplab_operator.engines.cassandra.spec import CassandraSpec
from caplab_operator.engines.cassandra.steps import Deployed, Persist, Restart, Send, Step, persisted_for
from caplab_operator.engines.pods import Pod, ordinal


@dataclass
class Life:
    """A pod and the process in it."""

    pod: Pod
    member: Member
    replaces: str = ""  # the host whose place it takes


@dataclass(kw_only=True)
class SimulatedCluster:
    """A cluster in which news reaches all members in the next tick; host ids and addresses are never reused."""

    spec: CassandraSpec
    lives: dict[str, Life] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)  # host id by member, of those that have data
    hosts: dict[str, str] = field(default_factory=dict)  # the ring: address by host id
    standing: PersistedState | None = None
    status: dict[str, Any] = field(default_factory=dict)
    steps_taken: list[str] = field(default_factory=list)
    count: int = 0

    def reconcile(self, spec: CassandraSpec) -> None:
        self.spec = replace(spec, generation=self.spec.generation + 1)
        deployed = Deployed(self.standing, "", True) if self.standing else None
        self.standing = persisted_for(self.spec, deployed)

    @property
    def revision(self) -> str:
        return configuration.restart_digest(self.spec)

    def tick(self) -> Step | None:
        """Advance the time, and let the operator make one pass. Returns its actions."""
        self._progress()
        step = self._round()
        match step:
            case Send():
                self._take(step)
            case Restart(pod):
                self._note(f"restart {pod.name}")
                del self.lives[pod.name]
            case Persist(standing):
                self._resize(standing)
        return step

    def _round(self) -> Step | None:
        assert self.standing
        observed = self.look()
        ring = ring_of(observed, self.status)
        repair = repair_of(self.spec, ring, self.status, "2026-01-01T00:00:00Z")
        step = rollout.next_step(self.spec, ring, Deployed(self.standing, self.revision, True), repair)
        done = status.RoundResult(
            refusals={}, rollout=step.why if step else "", is_settled=step is None or step.is_maintenance, repair=repair
        )
        self.status = status.build(self.spec, observed, ring, self.status, "2026-01-01T00:00:00Z", done)
        return step

    def look(self) -> ObservedCassandra:
        lives = self.lives.values()
        # Each member's own report, with the one ring that all see.
        return ObservedCassandra(
            Place(tuple(life.pod for life in lives), "pw"), {life.pod.name: self._view(life.member) for life in lives}
        )

    def _view(self, member: Member) -> Member:
        if member.stage != "running":
            return member
        live = frozenset(life.pod.address or "" for life in self.lives.values() if life.member.host_id in self.hosts)
        joining = frozenset(life.pod.address or "" for life in self.lives.values() if life.member.stage == "starting")
        leaving = frozenset(life.pod.address or "" for life in self.lives.values() if life.member.mode == "LEAVING")
        addresses = {address: host for host, address in self.hosts.items()}
        return replace(
            member, live=live | joining, joining=joining, leaving=leaving, host_ids=addresses,
            owns=dict.fromkeys(addresses, 1.0), schemas=dict.fromkeys(live, "s"),
            settings=configuration.settings(self.spec), application="",
        )  # fmt: skip

    def kill(self, name: str, wipe: bool) -> None:
        """Remove a pod, perhaps with its volume: its StatefulSet recreates it in the next tick."""
        if wipe:
            self.volumes.pop(name, None)
        self.lives.pop(name, None)

    def _progress(self) -> None:
        assert self.standing
        for name in [name for name in self.lives if ordinal(name) >= self.standing.replicas]:
            del self.lives[name]
            self.volumes.pop(name, None)
        for life in self.lives.values():
            self._go_on(life)
        for number in range(self.standing.replicas):
            if (name := f"cs-{number}") not in self.lives:
                self.lives[name] = self._new(name)

    def _new(self, name: str) -> Life:
        self.count += 1
        pod = Pod(
            name=name, namespace="demo", uid=f"u{self.count}", node="n", zone="a", address=f"10.0.0.{self.count}",
            revision=self.revision, files="", ready=False, terminating=False,
        )  # fmt: skip
        if host := self.volumes.get(name):
            return Life(pod, Member(stage="starting", host_id=host))
        return Life(pod, Member(stage="waiting", fresh=True))

    def _go_on(self, life: Life) -> None:
        name, member = life.pod.name, life.member
        if member.stage == "starting":
            host = member.host_id or f"h{life.pod.uid}"
            self.hosts.pop(life.replaces, None)
            self.hosts[host] = life.pod.address or ""
            self.volumes[name] = host
            life.member = Member(stage="running", mode="NORMAL", native=True, host_id=host)
            life.pod = replace(life.pod, ready=True)
        elif member.work.state == "running":
            work = replace(member.work, state="done")
            life.member = replace(member, work=work)
            if work.kind == "decommission":
                self.hosts.pop(member.host_id)
                self.volumes.pop(name)
                life.member = replace(life.member, mode="DECOMMISSIONED", fresh=True, native=False)

    def _take(self, step: Send) -> None:
        life, what = self.lives[step.pod.name], step.query
        how = "".join(f"{value}/" for value in what.values()) if step.path == "/start" else ""
        self._note(f"{step.path[1:]} {how}{step.pod.name}")
        if step.path == "/start":
            assert life.member.stage == "waiting"
            self._begin(life, what)
        else:
            assert life.member.stage == "running"
            mode = "LEAVING" if step.path == "/decommission" else life.member.mode
            life.member = replace(life.member, work=Work(step.path[1:], what["id"], "running"), mode=mode)

    def _begin(self, life: Life, how: Mapping[str, str]) -> None:
        others = [other.member.stage for other in self.lives.values() if other is not life]
        assert "starting" not in others, "two begin at once"
        if how.get("as") == "first":
            assert set(others) <= {"waiting"}, "a second cluster begins"
            assert not self.volumes
            self.hosts.clear()
        elif address := how.get("replacing"):
            (life.replaces,) = [host for host, at in self.hosts.items() if at == address]
            assert life.replaces not in self.volumes.values(), "somebody else's place is taken"
        else:
            assert self.hosts, "there is nobody to join"
        life.member = Member(stage="starting")

    def _resize(self, standing: PersistedState) -> None:
        assert self.standing
        for number in range(standing.replicas, self.standing.replicas):
            assert self.volumes.get(f"cs-{number}") not in self.hosts, "a member goes that has not left"
        self.standing = standing

    def _note(self, what: str) -> None:
        self.steps_taken.append(what)
