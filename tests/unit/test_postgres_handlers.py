"""What the operator does for a PostgresCluster in a round: what it asks, tells, and applies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from caplab_operator.engines.ownership import ForeignObject
from caplab_operator.engines.pods import Pod
from caplab_operator.engines.postgres import observe, patroni, rejoin
from caplab_operator.engines.postgres.observe import ObservedPostgres
from caplab_operator.engines.postgres.readings import Reading
from caplab_operator.engines.postgres.rollout import RestartPostgres, Switchover
from caplab_operator.engines.postgres.sessions import Sessions
from caplab_operator.engines.postgres.sql import SqlError
from caplab_operator.engines.rolling import GENERATION_ANNOTATION
from caplab_operator.handlers import postgres, postgres_drift, postgres_logins, postgres_steps
from caplab_operator.handlers.postgres_drift import DriftCorrection
from caplab_operator.handlers.postgres_logins import Logins
from caplab_operator.handlers.postgres_steps import Steps
from observed_postgres import BODY, SPEC, answer, by_alter_system, observed, override, pod, reading

PASSWORDS = {"superuser": "su", "patroni": "pa"}
LOGIN = {"username": "caplab", "password": "secret", "database": "caplab"}


@dataclass
class FakeSessions:
    """Statements as they are run, by member."""

    run: list[tuple[str, str]] = field(default_factory=list)
    oldest_segment: str = "0"

    def change(self, member: Pod, password: str, statements: Sequence[str]) -> list[str]:
        assert password == "su"
        self.run += [(member.name, statement) for statement in statements]
        return []

    def ask(self, member: Pod, password: str, statement: str) -> str:
        return self.oldest_segment

    def encrypted(self, member: Pod, password: str, role: str, secret: str) -> str:
        return f"SCRAM of {secret}"


@dataclass
class World:
    """A made-up clock, and what Patronis are told."""

    now: float = 1000.0
    told: list[tuple[str, str, Any]] = field(default_factory=list)
    refusal: str = ""
    sessions: Any = field(default_factory=FakeSessions)

    def tell(self, address: str, password: str, path: str, what: Mapping[str, Any], method: str = "POST") -> str:
        assert password == "pa"
        self.told.append((address, path, dict(what)))
        return self.refusal


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(observe, "send", world.tell)
    clock = SimpleNamespace(monotonic=lambda: world.now)
    for module in (postgres_logins, postgres_drift, postgres_steps):
        monkeypatch.setattr(module, "time", clock)
    return world


def mend(world: World, mending: DriftCorrection, look: ObservedPostgres) -> None:
    mending.correct(SPEC, look, world.sessions, PASSWORDS)


def mend_for(world: World, mending: DriftCorrection, look: ObservedPostgres, patience: float) -> None:
    """Rounds that see the same until it is due, in which nobody is told anything, and ten more."""
    for seconds in (0.0, patience - 1):
        world.now += seconds
        mend(world, mending, look)
    assert world.told == []
    world.now += 1
    for _ in range(10):
        mend(world, mending, look)
        world.now += 1


def test_nothing_is_mended_where_nothing_is_amiss(world: World) -> None:
    mend(world, DriftCorrection(), observed())
    assert (world.told, world.sessions.run) == ([], [])


def test_what_was_changed_by_hand_is_taken_back_on_that_member_in_the_same_round(world: World) -> None:
    changed: dict[str, Reading | None] = {
        "pg-0": reading(overrides=(override("synchronous_commit", "off", role="caplab"),)),
        "pg-1": reading(
            lines=(by_alter_system("fsync", "off"),), overrides=(override("synchronous_commit", "off", role="caplab"),)
        ),
    }
    mend(world, DriftCorrection(), observed(readings=changed))
    assert world.sessions.run == [
        ("pg-0", 'alter role "caplab" reset "synchronous_commit"'),
        ("pg-1", 'alter system reset "fsync"'),
        ("pg-1", "select pg_reload_conf()"),
    ]


def test_patronis_settings_are_brought_back_to_the_specs(world: World) -> None:
    config = {**patroni.dynamic_settings(SPEC), "ttl": 99}
    mend(world, DriftCorrection(), replace(observed(), config=config))
    assert world.told == [("10.0.0.0", "/config", {"ttl": 20})]


def test_a_file_that_differs_for_long_is_written_anew_and_not_each_round(world: World) -> None:
    mending, look = DriftCorrection(), observed(readings={"pg-2": reading(changed={"wal_keep_size": "1MB"})})
    for _ in range(7):
        mend(world, mending, look)
        world.now += 1
    assert world.told == [("10.0.0.2", "/reload", {})]
    mend(world, mending, observed())
    mend(world, mending, look)
    assert len(world.told) == 1


def test_a_replica_whose_log_is_gone_gets_a_new_copy_once_it_has_had_its_time(world: World) -> None:
    stuck = answer("pg-1", replication_state=None, xlog={"received_location": 5 * 2**24})
    mending, look = DriftCorrection(), observed(answers={"pg-1": stuck})
    world.sessions.oldest_segment = "9"
    mend_for(world, mending, look, rejoin.SECONDS_BEFORE_A_COPY)
    assert world.told == [("10.0.0.1", "/reinitialize", {"force": True})]
    still_there = World(sessions=FakeSessions(oldest_segment="5"))
    mend(still_there, DriftCorrection(_standing_still={"pg-1": 0.0}), look)
    assert still_there.told == []


def test_a_replica_that_follows_nobody_is_restarted_once_it_has_had_its_time(world: World) -> None:
    alone = {"pg-1": reading(follows=False)}
    mending, look = (
        DriftCorrection(),
        observed(answers={"pg-1": answer("pg-1", replication_state=None)}, readings=alone),
    )
    mend_for(world, mending, look, rejoin.SECONDS_BEFORE_A_RESTART)
    assert world.told == [("10.0.0.1", "/restart", {})]


def test_a_replica_without_a_primary_or_that_only_waits_is_not_restarted(world: World) -> None:
    waits = answer("pg-1", replication_state=None)
    for look in (
        observed(primary=None, readings={"pg-1": reading(follows=False)}, answers={"pg-1": waits}),
        observed(answers={"pg-1": waits}),  # cut off, say
        observed(readings={"pg-0": reading(follows=False)}),  # the primary itself
    ):
        mend(world, DriftCorrection(_alone={"pg-1": 0.0, "pg-0": 0.0}), look)
    assert world.told == []


# --- a round ------------------------------------------------------------------------------------------------


OWN = {"caplab.dev/cluster": "pg", "caplab.dev/engine": "postgres"}


class FakeApi:
    """A cluster's objects as the API server has them."""

    def __init__(self, replicas: int = 3, revision: str = "r1") -> None:
        metadata = {"name": "pg", "generation": 7, "annotations": {GENERATION_ANNOTATION: "3"}}
        status = {"updateRevision": revision, "observedGeneration": 7}
        self.stateful_set = {"metadata": metadata, "spec": {"replicas": replicas}, "status": status}
        self.deleted: list[str] = []
        self.applied: list[dict[str, Any]] = []
        self.lock: dict[str, Any] = {"name": "pg-primary", "uid": "e", "annotations": {"leader": "pg-0"}, "labels": OWN}
        self.service: Exception | None = None
        self.labelled: list[tuple[str, str, Any]] = []

    def look(self, manifest: dict[str, Any]) -> dict[str, Any]:
        assert (manifest["kind"], manifest["metadata"]["name"]) == ("Service", "pg-primary")
        if self.service:
            raise self.service
        return {"uid": "s"}

    def patch_metadata(self, kind: str, _namespace: str, name: str, metadata: dict[str, Any]) -> None:
        self.labelled.append((kind, name, metadata))

    def get(self, _version: str, kind: str, _namespace: str, name: str) -> dict[str, Any] | None:
        if kind == "Endpoints":
            return {"metadata": self.lock}
        assert (kind, name) == ("StatefulSet", "pg")
        return self.stateful_set

    def secret(self, _namespace: str, name: str) -> dict[str, str]:
        return PASSWORDS if name == "pg-passwords" else LOGIN

    def delete_pod(self, _namespace: str, name: str, uid: str) -> None:
        assert uid == f"uid-of-{name}"
        self.deleted.append(name)

    def apply(self, manifest: dict[str, Any]) -> None:
        self.applied.append(manifest)


def look(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, found: ObservedPostgres, body: dict[str, Any] | None = None
) -> Any:
    """What comes of one round in which that is seen."""
    monkeypatch.setenv(postgres.IMAGE_VARIABLE, "image")
    monkeypatch.setattr(postgres, "pods_of", lambda *_: found.pods)
    monkeypatch.setattr(observe, "look", lambda pods, leader: replace(found, leader=leader, readings={}))
    monkeypatch.setattr(Sessions, "look", lambda self, pods, password, names: found.readings)
    monkeypatch.setattr(postgres_logins, "log_in", lambda *_: None)
    kubernetes: Any = api
    return postgres.PostgresClusters().watch_over(kubernetes, body or BODY, {}, {})


def test_a_round_finds_a_cluster_that_is_well_ready(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    found = look(api, monkeypatch, observed())
    assert (found["phase"], found["durability"], found.get("rollout")) == ("Ready", "async", None)
    assert (world.told, api.deleted, api.applied) == ([], [], [])


@pytest.mark.parametrize("lost", ["caplab.dev/cluster", "caplab.dev/engine", "caplab.dev/scope"])
def test_a_lock_that_patroni_could_not_find_gets_its_labels_again(
    world: World, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Kubernetes writes a Service's labels on it when somebody gives the Service a selector."""
    api, labels = FakeApi(), {**OWN, "caplab.dev/scope": "pg-primary"}
    api.lock["labels"] = {name: value for name, value in labels.items() if name != lost}
    look(api, monkeypatch, observed())
    assert api.labelled == [("Endpoints", "pg-primary", {"uid": "e", "labels": labels})]
    api.lock["labels"] = labels
    look(api, monkeypatch, observed())
    assert len(api.labelled) == 1


def test_endpoints_whose_service_is_somebody_elses_get_no_labels(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    api.lock["labels"], api.service = {}, ForeignObject(["Service pg-primary (nobody's cluster)"])
    with pytest.raises(ForeignObject):
        look(api, monkeypatch, observed())
    assert api.labelled == []


def test_a_round_takes_the_next_step_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi(revision="r2")
    found = look(api, monkeypatch, observed())
    assert (found["phase"], found["rollout"]) == ("Creating", "3 of 3 members to restart")
    assert api.deleted == ["pg-2"]
    api = FakeApi(revision="r2")
    look(api, monkeypatch, observed(pods=[pod("pg-0"), pod("pg-1", revision="r2"), pod("pg-2", revision="r2")]))
    assert (api.deleted, world.told) == (
        [],
        [("10.0.0.0", "/switchover", {"leader": "pg-0", "candidate": "pg-1"})],
    )


def test_a_smaller_size_reaches_the_stateful_set_only_when_the_primary_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeApi(replicas=4)
    look(api, monkeypatch, observed(pods=[pod(f"pg-{number}") for number in range(4)]))
    assert [one["spec"]["replicas"] for one in api.applied] == [3]


def test_the_cause_of_a_hand_over_is_kept_until_it_has_shown(world: World) -> None:
    known = postgres.ClusterCache()
    leaving = [pod("pg-0", leaving=True), pod("pg-1"), pod("pg-2")]
    postgres._note_causes(known, observed(pods=leaving), "pg-0")
    assert known.causes == {"pg-0": "its pod was told to end"}
    postgres._note_causes(known, observed(primary="pg-1"), "pg-1")
    assert known.causes == {"pg-0": "its pod was told to end"}
    postgres._note_causes(known, observed(), "pg-0")
    assert known.causes == {}


# --- steps --------------------------------------------------------------------------------------------------


def begin(world: World, steps: Steps, step: Switchover | RestartPostgres, **changes: Any) -> str:
    return steps.take(SPEC, observed(**changes), step, "pa", {})


def test_a_step_is_begun_once_and_again_when_it_came_to_nothing(world: World) -> None:
    steps, step = Steps(), Switchover(pod("pg-0"), "pg-2", "1 of 3")
    for _ in range(10):
        assert begin(world, steps, step) == "1 of 3"
        world.now += 1
    assert world.told == [("10.0.0.0", "/switchover", {"leader": "pg-0", "candidate": "pg-2"})]
    assert steps.hands_over("pg-0")
    assert not steps.hands_over("pg-1")
    world.now += 10
    begin(world, steps, step)
    assert len(world.told) == 2


def test_a_member_that_has_restarted_may_be_told_at_once_again(world: World) -> None:
    steps, step = Steps(), RestartPostgres(pod("pg-1"), "why")
    for started in ("10:00", "10:00", "10:01"):
        begin(world, steps, step, answers={"pg-1": answer("pg-1", postmaster_start_time=started)})
    assert world.told == 2 * [("10.0.0.1", "/restart", {"timeout": "30"})]


def test_a_member_that_waits_whatever_is_done_is_not_restarted_for_ever(world: World) -> None:
    steps, step = Steps(), RestartPostgres(pod("pg-1"), "why")
    for started in range(5):
        said = begin(world, steps, step, answers={"pg-1": answer("pg-1", postmaster_start_time=str(started))})
    assert (len(world.told), said) == (3, "why: pg-1 still waits after 3 restarts")
    world.now += 301
    begin(world, steps, step)
    assert len(world.told) == 4


def test_a_refusal_is_told_in_the_status(world: World) -> None:
    world.refusal = "412 no good candidates"
    said = begin(world, Steps(), Switchover(pod("pg-0"), "pg-2", "why"))
    assert said == "why: refused: 412 no good candidates"


def test_who_was_told_to_hand_over_is_remembered_as_the_cause(world: World) -> None:
    causes: dict[str, str] = {}
    Steps().take(SPEC, observed(), Switchover(pod("pg-0"), "pg-2", "why"), "pa", causes)
    assert causes == {"pg-0": "handed over by the operator"}


# --- logins -------------------------------------------------------------------------------------------------


def test_members_are_logged_in_to_every_few_seconds_and_at_once_where_it_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    errors: dict[str, SqlError] = {"pg-1": SqlError("sorry, too many clients already")}

    def log_in(member: Pod, user: str, password: str, database: str) -> SqlError | None:
        tries.append(member.name)
        return errors.get(member.name)

    monkeypatch.setattr(postgres_logins, "log_in", log_in)
    logins = Logins()

    def tried(look: ObservedPostgres) -> dict[str, str]:
        tries.clear()
        return logins.tried(SPEC, look, world.sessions, PASSWORDS, LOGIN)

    unready = observed(answers={"pg-2": None})
    assert tried(unready) == {"pg-0": "", "pg-1": "sorry, too many clients already"}
    world.now += 1
    tried(observed())
    assert sorted(tries) == ["pg-1", "pg-2"]
    errors.clear()
    world.now += 5
    assert tried(observed()) == {"pg-0": "", "pg-1": "", "pg-2": ""}
    anew = [pod("pg-0"), pod("pg-1", uid="another"), pod("pg-2")]
    tried(observed(pods=anew))
    assert tries == ["pg-1"]
    assert set(tried(observed(pods=anew[:2]))) == {"pg-0", "pg-1"}
    assert world.sessions.run == []


def test_a_password_that_was_changed_is_set_again_to_what_the_secret_says(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = SqlError('FATAL:  password authentication failed for user "caplab"', "28P01")
    monkeypatch.setattr(postgres_logins, "log_in", lambda *_: refused)
    said = Logins().tried(SPEC, observed(), world.sessions, PASSWORDS, LOGIN)
    assert set(said.values()) == {str(refused)}
    assert world.sessions.run == [("pg-0", "alter role \"caplab\" login password 'SCRAM of secret'")]


def test_without_the_secret_nobody_can_log_in(world: World) -> None:
    said = Logins().tried(SPEC, observed(), world.sessions, PASSWORDS, {})
    assert set(said.values()) == {"there is no Secret with the clients' login"}
    assert world.sessions.run == []
