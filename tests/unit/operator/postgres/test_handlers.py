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
from caplab_operator.handlers.postgres import clusters as postgres
from caplab_operator.handlers.postgres import drift as postgres_drift
from caplab_operator.handlers.postgres import logins as postgres_logins
from caplab_operator.handlers.postgres import steps as postgres_steps
from caplab_operator.handlers.postgres.drift import DriftCorrection
from caplab_operator.handlers.postgres.logins import Logins
from caplab_operator.handlers.postgres.steps import Steps
from support.operator.observed_postgres import BODY, SPEC, answer, by_alter_system, observed, override, pod, reading

from caplab.contract.engines import POSTGRES
from caplab.contract.names import CLUSTER_LABEL, ENGINE_LABEL, GENERATION_ANNOTATION, SCOPE_LABEL

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
class FakePatronis:
    """A made-up clock, and what Patronis are told."""

    now: float = 1000.0
    sent: list[tuple[str, str, Any]] = field(default_factory=list)
    refusal: str = ""
    sessions: Any = field(default_factory=FakeSessions)

    def send(self, address: str, password: str, path: str, what: Mapping[str, Any], method: str = "POST") -> str:
        assert password == "pa"
        self.sent.append((address, path, dict(what)))
        return self.refusal


@pytest.fixture
def patronis(monkeypatch: pytest.MonkeyPatch) -> FakePatronis:
    patronis = FakePatronis()
    monkeypatch.setattr(observe, "send", patronis.send)
    clock = SimpleNamespace(monotonic=lambda: patronis.now)
    for module in (postgres_logins, postgres_drift, postgres_steps):
        monkeypatch.setattr(module, "time", clock)
    return patronis


def correct(patronis: FakePatronis, drift_correction: DriftCorrection, look: ObservedPostgres) -> None:
    drift_correction.correct(SPEC, look, patronis.sessions, PASSWORDS)


def correct_for(
    patronis: FakePatronis, drift_correction: DriftCorrection, look: ObservedPostgres, seconds_until_due: float
) -> None:
    """Rounds that see the same until it is due, in which nobody is told anything, and ten more."""
    for seconds in (0.0, seconds_until_due - 1):
        patronis.now += seconds
        correct(patronis, drift_correction, look)
    assert patronis.sent == []
    patronis.now += 1
    for _ in range(10):
        correct(patronis, drift_correction, look)
        patronis.now += 1


def test_nothing_is_corrected_where_nothing_differs(patronis: FakePatronis) -> None:
    correct(patronis, DriftCorrection(), observed())
    assert (patronis.sent, patronis.sessions.run) == ([], [])


def test_what_was_changed_by_hand_is_taken_back_on_that_member_in_the_same_round(patronis: FakePatronis) -> None:
    changed: dict[str, Reading | None] = {
        "pg-0": reading(overrides=(override("synchronous_commit", "off", role="caplab"),)),
        "pg-1": reading(
            lines=(by_alter_system("fsync", "off"),), overrides=(override("synchronous_commit", "off", role="caplab"),)
        ),
    }
    correct(patronis, DriftCorrection(), observed(readings=changed))
    assert patronis.sessions.run == [
        ("pg-0", 'alter role "caplab" reset "synchronous_commit"'),
        ("pg-1", 'alter system reset "fsync"'),
        ("pg-1", "select pg_reload_conf()"),
    ]


def test_patronis_settings_are_brought_back_to_the_specs(patronis: FakePatronis) -> None:
    config = {**patroni.dynamic_settings(SPEC), "ttl": 99}
    correct(patronis, DriftCorrection(), replace(observed(), config=config))
    assert patronis.sent == [("10.0.0.0", "/config", {"ttl": 20})]


def test_a_file_that_differs_for_long_is_written_anew_and_not_each_round(patronis: FakePatronis) -> None:
    drift_correction, look = DriftCorrection(), observed(readings={"pg-2": reading(changed={"wal_keep_size": "1MB"})})
    for _ in range(7):
        correct(patronis, drift_correction, look)
        patronis.now += 1
    assert patronis.sent == [("10.0.0.2", "/reload", {})]
    correct(patronis, drift_correction, observed())
    correct(patronis, drift_correction, look)
    assert len(patronis.sent) == 1


def test_a_replica_whose_log_is_gone_gets_a_new_copy_once_it_has_had_its_time(patronis: FakePatronis) -> None:
    stuck = answer("pg-1", replication_state=None, xlog={"received_location": 5 * 2**24})
    drift_correction, look = DriftCorrection(), observed(answers={"pg-1": stuck})
    patronis.sessions.oldest_segment = "9"
    correct_for(patronis, drift_correction, look, rejoin.SECONDS_BEFORE_A_COPY)
    assert patronis.sent == [("10.0.0.1", "/reinitialize", {"force": True})]
    patronis.sent.clear()
    patronis.sessions.oldest_segment = "5"
    correct_for(patronis, DriftCorrection(), look, rejoin.SECONDS_BEFORE_A_COPY)
    assert patronis.sent == []


def test_a_new_copy_is_made_again_at_once_where_another_primary_leads_by_then(patronis: FakePatronis) -> None:
    stuck = answer("pg-1", replication_state=None, xlog={"received_location": 5 * 2**24})
    drift_correction = DriftCorrection()
    patronis.sessions.oldest_segment = "9"
    for primary in ("pg-0", "pg-2"):
        look = observed(primary=primary, answers={"pg-1": stuck})
        correct_for(patronis, drift_correction, look, rejoin.SECONDS_BEFORE_A_COPY)
        assert patronis.sent == [("10.0.0.1", "/reinitialize", {"force": True})]
        patronis.sent.clear()


def test_a_replica_that_starts_for_longer_than_it_can_have_log_to_replay_gets_a_new_copy(
    patronis: FakePatronis,
) -> None:
    stuck = answer("pg-1", state="starting", replication_state=None)
    look, seconds = observed(answers={"pg-1": stuck}), rejoin.seconds_to_start(SPEC)
    assert 30 < seconds < 120
    correct_for(patronis, DriftCorrection(), look, seconds)
    assert patronis.sent == [("10.0.0.1", "/reinitialize", {"force": True})]
    for other in (
        observed(answers={"pg-1": stuck, "pg-2": stuck}),  # the last that has all the writes, perhaps
        observed(primary=None, answers={"pg-1": stuck}),
        observed(),
    ):
        assert rejoin.starting(other) == []


def test_a_replica_that_follows_nobody_is_restarted_once_it_has_had_its_time(patronis: FakePatronis) -> None:
    alone = {"pg-1": reading(follows=False)}
    drift_correction, look = (
        DriftCorrection(),
        observed(answers={"pg-1": answer("pg-1", replication_state=None)}, readings=alone),
    )
    correct_for(patronis, drift_correction, look, rejoin.SECONDS_BEFORE_A_RESTART)
    assert patronis.sent == [("10.0.0.1", "/restart", {})]


def test_a_replica_without_a_primary_or_that_only_waits_is_not_restarted(patronis: FakePatronis) -> None:
    waits = answer("pg-1", replication_state=None)
    for look in (
        observed(primary=None, readings={"pg-1": reading(follows=False)}, answers={"pg-1": waits}),
        observed(answers={"pg-1": waits}),  # cut off, say
        observed(readings={"pg-0": reading(follows=False)}),  # the primary itself
    ):
        correct(patronis, DriftCorrection(_alone={"pg-1": 0.0, "pg-0": 0.0}), look)
    assert patronis.sent == []


# --- a round ------------------------------------------------------------------------------------------------


OWN = {CLUSTER_LABEL: "pg", ENGINE_LABEL: "postgres"}


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
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, cluster: ObservedPostgres, body: dict[str, Any] | None = None
) -> Any:
    """What comes of one round in which that is seen."""
    monkeypatch.setenv(POSTGRES.image_variable, "image")
    monkeypatch.setattr(postgres, "pods_of", lambda *_: cluster.pods)
    monkeypatch.setattr(observe, "look", lambda pods, leader: replace(cluster, leader=leader, readings={}))
    monkeypatch.setattr(Sessions, "look", lambda self, pods, password, names: cluster.readings)
    monkeypatch.setattr(postgres_logins, "log_in", lambda *_: None)
    kubernetes: Any = api
    return postgres.PostgresClusters().run_round(kubernetes, body or BODY, {}, {})


def test_a_round_finds_a_cluster_that_is_well_ready(patronis: FakePatronis, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    written = look(api, monkeypatch, observed())
    assert (written["phase"], written["durability"], written.get("rollout")) == ("Ready", "async", None)
    assert (patronis.sent, api.deleted, api.applied) == ([], [], [])


@pytest.mark.parametrize("lost", [CLUSTER_LABEL, ENGINE_LABEL, SCOPE_LABEL])
def test_a_lock_that_patroni_could_not_find_gets_its_labels_again(
    patronis: FakePatronis, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Kubernetes writes a Service's labels on it when somebody gives the Service a selector."""
    api, labels = FakeApi(), {**OWN, SCOPE_LABEL: "pg-primary"}
    api.lock["labels"] = {name: value for name, value in labels.items() if name != lost}
    look(api, monkeypatch, observed())
    assert api.labelled == [("Endpoints", "pg-primary", {"uid": "e", "labels": labels})]
    api.lock["labels"] = labels
    look(api, monkeypatch, observed())
    assert len(api.labelled) == 1


def test_endpoints_whose_service_is_somebody_elses_get_no_labels(
    patronis: FakePatronis, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeApi()
    api.lock["labels"], api.service = {}, ForeignObject(["Service pg-primary (owned by no cluster)"])
    with pytest.raises(ForeignObject):
        look(api, monkeypatch, observed())
    assert api.labelled == []


def test_a_round_takes_the_next_step_and_says_so(patronis: FakePatronis, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi(revision="r2")
    written = look(api, monkeypatch, observed())
    assert (written["phase"], written["rollout"]) == ("Creating", "3 of 3 members to restart")
    assert api.deleted == ["pg-2"]
    api = FakeApi(revision="r2")
    look(api, monkeypatch, observed(pods=[pod("pg-0"), pod("pg-1", revision="r2"), pod("pg-2", revision="r2")]))
    assert (api.deleted, patronis.sent) == (
        [],
        [("10.0.0.0", "/switchover", {"leader": "pg-0", "candidate": "pg-1"})],
    )


def test_a_smaller_size_reaches_the_stateful_set_only_when_the_primary_stays(
    patronis: FakePatronis, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeApi(replicas=4)
    look(api, monkeypatch, observed(pods=[pod(f"pg-{number}") for number in range(4)]))
    assert [manifest["spec"]["replicas"] for manifest in api.applied] == [3]


def test_the_cause_of_a_switchover_is_kept_until_it_has_shown(patronis: FakePatronis) -> None:
    cache = postgres.ClusterCache()
    leaving = [pod("pg-0", terminating=True), pod("pg-1"), pod("pg-2")]
    postgres._note_causes(cache, observed(pods=leaving), "pg-0")
    assert cache.causes == {"pg-0": "its pod was deleted"}
    postgres._note_causes(cache, observed(primary="pg-1"), "pg-1")
    assert cache.causes == {"pg-0": "its pod was deleted"}
    postgres._note_causes(cache, observed(), "pg-0")
    assert cache.causes == {}


# --- steps --------------------------------------------------------------------------------------------------


def begin(patronis: FakePatronis, steps: Steps, step: Switchover | RestartPostgres, **changes: Any) -> str:
    return steps.take(SPEC, observed(**changes), step, "pa", {})


def test_a_step_is_begun_once_and_again_when_it_came_to_nothing(patronis: FakePatronis) -> None:
    steps, step = Steps(), Switchover(pod("pg-0"), "pg-2", "1 of 3")
    for _ in range(10):
        assert begin(patronis, steps, step) == "1 of 3"
        patronis.now += 1
    assert patronis.sent == [("10.0.0.0", "/switchover", {"leader": "pg-0", "candidate": "pg-2"})]
    assert steps.hands_over("pg-0")
    assert not steps.hands_over("pg-1")
    patronis.now += 10
    begin(patronis, steps, step)
    assert len(patronis.sent) == 2


def test_a_member_that_has_restarted_may_be_told_at_once_again(patronis: FakePatronis) -> None:
    steps, step = Steps(), RestartPostgres(pod("pg-1"), "why")
    for started in ("10:00", "10:00", "10:01"):
        begin(patronis, steps, step, answers={"pg-1": answer("pg-1", postmaster_start_time=started)})
    assert patronis.sent == 2 * [("10.0.0.1", "/restart", {"timeout": "30"})]


def test_a_member_that_waits_whatever_is_done_is_not_restarted_for_ever(patronis: FakePatronis) -> None:
    steps, step = Steps(), RestartPostgres(pod("pg-1"), "why")
    for started in range(5):
        progress = begin(patronis, steps, step, answers={"pg-1": answer("pg-1", postmaster_start_time=str(started))})
    assert (len(patronis.sent), progress) == (3, "why: pg-1 still waits after 3 restarts")
    patronis.now += 301
    begin(patronis, steps, step)
    assert len(patronis.sent) == 4


def test_a_refusal_is_told_in_the_status(patronis: FakePatronis) -> None:
    patronis.refusal = "412 no good candidates"
    progress = begin(patronis, Steps(), Switchover(pod("pg-0"), "pg-2", "why"))
    assert progress == "why: refused: 412 no good candidates"


def test_who_was_told_to_hand_over_is_remembered_as_the_cause(patronis: FakePatronis) -> None:
    causes: dict[str, str] = {}
    Steps().take(SPEC, observed(), Switchover(pod("pg-0"), "pg-2", "why"), "pa", causes)
    assert causes == {"pg-0": "handed over by the operator"}


# --- logins -------------------------------------------------------------------------------------------------


def test_members_are_logged_in_to_every_few_seconds_and_at_once_where_it_failed(
    patronis: FakePatronis, monkeypatch: pytest.MonkeyPatch
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
        return logins.check(SPEC, look, patronis.sessions, PASSWORDS, LOGIN)

    unready = observed(answers={"pg-2": None})
    assert tried(unready) == {"pg-0": "", "pg-1": "sorry, too many clients already"}
    patronis.now += 1
    tried(observed())
    assert sorted(tries) == ["pg-1", "pg-2"]
    errors.clear()
    patronis.now += 5
    assert tried(observed()) == {"pg-0": "", "pg-1": "", "pg-2": ""}
    anew = [pod("pg-0"), pod("pg-1", uid="another"), pod("pg-2")]
    tried(observed(pods=anew))
    assert tries == ["pg-1"]
    assert set(tried(observed(pods=anew[:2]))) == {"pg-0", "pg-1"}
    assert patronis.sessions.run == []


def test_a_password_that_was_changed_is_set_again_to_what_the_secret_says(
    patronis: FakePatronis, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = SqlError('FATAL:  password authentication failed for user "caplab"', "28P01")
    monkeypatch.setattr(postgres_logins, "log_in", lambda *_: refused)
    refusals = Logins().check(SPEC, observed(), patronis.sessions, PASSWORDS, LOGIN)
    assert set(refusals.values()) == {str(refused)}
    assert patronis.sessions.run == [("pg-0", "alter role \"caplab\" login password 'SCRAM of secret'")]


def test_without_the_secret_nobody_can_log_in(patronis: FakePatronis) -> None:
    refusals = Logins().check(SPEC, observed(), patronis.sessions, PASSWORDS, {})
    assert set(refusals.values()) == {"there is no Secret with the clients' login"}
    assert patronis.sessions.run == []
