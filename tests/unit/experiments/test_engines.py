"""The engines under test: what is asked of them, what their answers mean, and which one a step means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from chaoscaplab.clusters import cluster_status, postgres, redis
from chaoscaplab.clusters.engines import MODULES, EngineModule, engine_for_kind, engine_named, scan_routes
from chaoscaplab.clusters.provision import Cluster
from chaoscaplab.faults import actions
from chaoscaplab.probes.loads import clock_run
from chaoslib.exceptions import ActivityFailed
from support.runs.held_runs import begin_run

from caplab.contract.names import CLUSTER_LABEL, FAST_PATH_LABEL, PART_LABEL
from caplab.contract.objects import FaultSpec
from caplab.kube.errors import ExecFailed
from caplab.model import keys
from caplab.model.budgets import evaluate
from caplab.model.fields import Json
from caplab.model.runs import FirstCommit
from caplab.model.sizes import size_bytes
from caplab.run_context import current_run, release

OLD, NEW, LATER = "39110c49" * 5, "e7fde5a2" * 5, "0a3b44f1" * 5  # replication ids


@pytest.fixture(autouse=True)
def no_run() -> Iterator[None]:
    release()
    yield
    release()


class FakeServer:
    """Commands in pods, answered from a table: (pod, first words) -> what is printed, or the words of a refusal."""

    def __init__(self, answers: dict[tuple[str, str], str | ExecFailed], body: Any = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.selectors: list[str] = []
        self.holds: list[str] = []  # of the members' pods, as their labels have them
        self._answers, self._body = answers, body

    def execute(self, namespace: str, pod: str, *command: str) -> str:
        line = " ".join(command).removeprefix("lab-redis-cli -e ")
        self.asked.append((pod, line))
        (answer,) = [value for (of, words), value in self._answers.items() if of == pod and line.startswith(words)]
        if isinstance(answer, ExecFailed):
            raise answer
        return answer

    def get(self, kind: str, namespace: str, name: str) -> Any:
        return self._body

    def annotations(self, namespace: str, endpoints: str) -> dict[str, str]:
        return {"config": '{"ttl": 20, "synchronous_mode": "quorum"}'} if endpoints == "rd-primary-config" else {}

    def pods(self, namespace: str, selector: str) -> list[Any]:
        self.selectors.append(selector)
        return [{"metadata": {"labels": {FAST_PATH_LABEL: seconds}}} for seconds in self.holds]


def server(answers: dict[tuple[str, str], str | ExecFailed] | None = None, body: Any = None) -> Any:
    return FakeServer(answers or {}, body)


def cluster(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """A Ready cluster of any engine, its primary rd-0."""
    members = [{"name": f"rd-{number}"} for number in range(3)]
    full = {"observedGeneration": 2, "phase": "Ready", "readyMembers": 3, "primary": "rd-0", "members": members}
    head = {"metadata": {"name": "rd", "generation": 2}, "spec": {"replicas": 3, **(spec or {})}}
    return {**head, "status": {**full, **status}}


# --- any engine -------------------------------------------------------------------------------------------


def test_a_cluster_is_ready_only_as_its_latest_spec_asks() -> None:
    assert cluster_status.not_ready(cluster()) == ""
    assert "not seen" in cluster_status.not_ready(cluster(observedGeneration=1))
    conditions = [{"type": "Ready", "message": "rd-1 lags"}]
    assert cluster_status.not_ready(cluster(phase="Degraded", conditions=conditions)) == "it is Degraded: rd-1 lags"
    assert "Ready" in cluster_status.not_ready(cluster(readyMembers=2))
    assert "new" in cluster_status.not_ready({**cluster(), "status": {"observedGeneration": 2}})


@pytest.mark.parametrize("engine", MODULES.values())
def test_a_cluster_that_is_gone_is_not_steady(engine: EngineModule) -> None:
    assert (
        Cluster(server=server(), engine=engine, namespace="ns", name="rd", spec={}).not_steady()
        == "there is no such cluster"
    )


@pytest.mark.parametrize("engine", [module for module in MODULES.values() if module.ENGINE.has_primary])
def test_a_cluster_without_its_primary_has_not_caught_up_and_shows_no_settings(engine: EngineModule) -> None:
    body = cluster()
    del body["status"]["primary"]
    assert engine.not_caught_up(server(), "ns", body) == "there is no primary"
    assert Cluster(server=server(body=body), engine=engine, namespace="ns", name="rd", spec={})._differences() == [
        "there is no primary"
    ]
    assert scan_routes(engine, body["spec"]) == ["direct"]


def test_only_members_are_looked_at_and_not_what_else_belongs_to_a_cluster() -> None:
    fake = server()
    assert list(Cluster(server=fake, engine=redis, namespace="ns", name="rd", spec={}).members()) == []
    assert fake.selectors == [f"{CLUSTER_LABEL}=rd,{PART_LABEL}=member"]


@pytest.mark.parametrize(
    ("holds", "settings"),
    [
        (["2", "2", "2"], {"fastPath": True, "startHoldSeconds": 2}),
        (["2", "3", "2"], {"fastPath": False}),
        (["soon"], {"fastPath": False}),
        ([], {"fastPath": False}),
    ],
)
def test_deaths_are_decided_at_once_only_if_that_is_so_of_every_member(
    holds: list[str], settings: dict[str, Any]
) -> None:
    fake = server()
    fake.holds = holds
    assert cluster_status.fast_path(fake, "ns", "rd") == settings


def test_members_that_a_fault_restarted_are_those_with_a_restarted_container(monkeypatch: pytest.MonkeyPatch) -> None:
    def pod(name: str, *restarts: int) -> dict[str, Any]:
        statuses = {"containerStatuses": [{"restartCount": count} for count in restarts]} if restarts else {}
        return {"metadata": {"name": name}, "status": statuses}

    rd = Cluster(server=server(), engine=redis, namespace="ns", name="rd", spec={})
    monkeypatch.setattr(FakeServer, "pods", lambda *_: [pod("rd-0", 0), pod("rd-1", 0, 2), pod("rd-2")])
    assert [pod["metadata"]["name"] for pod in rd._restarted_pods()] == ["rd-1"]


def test_an_engine_is_meant_by_its_kind_else_by_the_run_under_way() -> None:
    with pytest.raises(
        ActivityFailed,
        match=r"No run with a cluster is under way.*kind, one of PostgresCluster, RedisCluster, CassandraCluster",
    ):
        engine_for_kind(current_run())
    begin_run("RedisCluster")
    assert engine_for_kind(current_run()) is redis
    assert engine_for_kind(current_run(), "PostgresCluster") is postgres
    with pytest.raises(ActivityFailed, match="no clusters of kind 'MongoCluster'"):
        engine_for_kind(current_run(), "MongoCluster")
    assert engine_named("postgres") is postgres
    with pytest.raises(LookupError, match=r"no engine 'pg'. Hint: use one of postgres, redis"):
        engine_named("pg")


@pytest.mark.parametrize(
    ("run", "kind", "hit"),
    [
        ("RedisCluster", "", "RedisCluster"),
        ("PostgresCluster", "", "PostgresCluster"),
        ("PostgresCluster", "RedisCluster", "RedisCluster"),
        ("", "RedisCluster", "RedisCluster"),
    ],
)
def test_a_kill_hits_the_cluster_of_the_run_unless_it_names_another_kind(
    run: str, kind: str, hit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FaultSpec] = []
    monkeypatch.setattr(actions, "inject", lambda run, namespace, spec: made.append(spec))
    begin_run(run)
    actions.kill("rd", kind=kind)
    assert [spec.target.kind for spec in made] == [hit]


def test_a_kill_without_a_run_must_say_which_kind_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "inject", lambda *_: pytest.fail("a fault was made"))
    with pytest.raises(ActivityFailed, match="argument kind"):
        actions.kill("rd")


# --- Postgres ---------------------------------------------------------------------------------------------


def test_a_postgres_setting_that_is_not_in_force_is_told_by_name() -> None:
    failover: dict[str, Json] = {"ttlSeconds": 20, "loopWaitSeconds": 1}
    asked: dict[str, Json] = {"durability": "quorum", "failover": failover}
    settings: dict[str, Json] = {**failover, "durability": "quorum", "synchronousStandbyNames": "ANY 1 (a,b)"}
    assert postgres.differences(asked, settings) == []
    assert postgres.differences(asked, {**settings, "ttlSeconds": 30}) == ["ttlSeconds is 30, not 20"]
    assert "'' under durability quorum" in postgres.differences(asked, {**settings, "synchronousStandbyNames": ""})[0]
    still = {**settings, "durability": "async"}
    # Postgres itself still waits for standbys.
    assert len(postgres.differences({**asked, "durability": "async"}, still)) == 1


def test_postgres_says_its_settings_by_patronis_store_and_its_primary() -> None:
    fake = server({("rd-0", "psql"): "server_version|17.6\nsynchronous_standby_names|ANY 1 (a)\n"})
    settings = postgres.settings_in_force(fake, "ns", cluster({"failover": {"fencing": "agent"}}))
    assert (settings["ttlSeconds"], settings["durability"], settings["fencing"]) == (20, "quorum", "agent")
    assert (settings["serverVersion"], settings["synchronousStandbyNames"]) == ("17.6", "ANY 1 (a)")


def test_a_postgres_cluster_whose_durability_is_not_applied_yet_is_not_ready() -> None:
    assert postgres.not_ready(cluster({"durability": "async"}, durability="async")) == ""
    assert "async, not yet quorum" in postgres.not_ready(cluster({"durability": "quorum"}, durability="async"))


def test_a_postgres_replica_that_is_behind_or_does_not_answer_is_named() -> None:
    answers: dict[tuple[str, str], str | ExecFailed] = {
        ("rd-0", "psql"): "0/3000060\n",
        ("rd-1", "psql"): "t|t\n",
        ("rd-2", "psql"): "t|t\n",
    }
    assert postgres.not_caught_up(server(answers), "ns", cluster()) == ""
    answers |= {("rd-1", "psql"): "t|f\n", ("rd-2", "psql"): ExecFailed("psql in rd-2: no socket")}
    sentence = postgres.not_caught_up(server(answers), "ns", cluster())
    assert sentence == "rd-1 is behind 0/3000060; psql in rd-2: no socket"


def test_the_first_commit_of_postgres_is_of_the_runs_own_beats_on_the_new_timeline() -> None:
    fake = server({("rd-0", "psql"): "1700000000123456\n"})
    commit = postgres.first_commit(fake, "ns", cluster(epoch=17), "16", "r1-clock")
    assert commit == FirstCommit("17", 1_700_000_000_123_456_000)
    ((_, asked),) = fake.asked
    assert f"run = {keys.run_number('r1-clock')} and timeline = '00000011'" in asked
    assert postgres.first_commit(server({("rd-0", "psql"): "\n"}), "ns", cluster(epoch=17), "16", "r1-clock") is None


# --- Redis ------------------------------------------------------------------------------------------------

CONFIG = {
    "min-replicas-to-write": "1",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "maxmemory": "134217728",
    "min-replicas-max-lag": "10",
    "appendonly": "yes",
    "save": "",  # last and empty, as redis-cli may print it
}
MASTER = {
    "name": "caplab",
    "down-after-milliseconds": "1000",
    "num-other-sentinels": "2",
    "quorum": "2",
    "failover-timeout": "6000",
}
LAB_FILE = "# written by the operator\nQUORUM='2'\nRESTARTED_PRIMARY='WaitForDecision'\n"
SPEC: dict[str, Any] = {
    "sentinels": 3,
    "persistence": "everysec",
    "minReplicasToWrite": 1,
    "minReplicasMaxLagSeconds": 10,
    "maxMemory": "128Mi",
    "evictionPolicy": "noeviction",
    "failover": {
        "downAfterMilliseconds": 1000,
        "failoverTimeoutMilliseconds": 6000,
        "restartedPrimary": "WaitForDecision",
        "fastPath": False,
    },
}


def printed(pairs: dict[str, str]) -> str:
    return "".join(f"{name}\n{value}\n" for name, value in pairs.items())


def whole(change: Callable[[str], dict[str, str]] = lambda pod: {}) -> dict[tuple[str, str], str | ExecFailed]:
    """What all pods of a cluster answer that is as SPEC asks, but for what change says of a pod."""
    answers: dict[tuple[str, str], str | ExecFailed] = {}
    for member in ("rd-0", "rd-1", "rd-2"):
        own = {name: value for name, value in change(member).items() if name in CONFIG}
        answers[member, "CONFIG GET"] = printed({**CONFIG, **own})
        answers[member, "cat /etc/caplab/lab.env"] = change(member).get("file", LAB_FILE)
        answers[member, "INFO server"] = "# Server\r\nredis_version:8.0.2\r\nredis_mode:standalone\r\n"
    for sentinel in ("rd-sentinel-0", "rd-sentinel-1", "rd-sentinel-2"):
        answers[sentinel, "SENTINEL MASTER caplab"] = printed({**MASTER, **change(sentinel)})
    return answers


def redis_cluster(**status: Any) -> dict[str, Any]:
    sentinels = [{"name": f"rd-sentinel-{number}"} for number in range(3)]
    return cluster(SPEC, **{"sentinels": sentinels, "readySentinels": 3, "persistence": "everysec", **status})


def in_force(change: Callable[[str], dict[str, str]] = lambda pod: {}) -> dict[str, Json]:
    return redis.settings_in_force(server(whole(change)), "ns", redis_cluster())


def test_redis_says_its_settings_by_its_members_and_its_sentinels() -> None:
    settings = in_force()
    assert settings == {
        "persistence": "everysec",
        "minReplicasToWrite": 1,
        "minReplicasMaxLagSeconds": 10,
        "maxMemoryBytes": 134_217_728,
        "evictionPolicy": "noeviction",
        "restartedPrimary": "WaitForDecision",
        "serverVersion": "8.0.2",
        "downAfterMilliseconds": 1000,
        "failoverTimeoutMilliseconds": 6000,
        "quorum": 2,
        "sentinels": 3,
        "fastPath": False,
    }
    assert redis.differences(SPEC, settings) == []
    assert evaluate("downAfter + failoverTimeout", settings) == 7


def test_every_setting_of_redis_that_is_not_in_force_is_told_by_name() -> None:
    fits = in_force()
    compared = fits.keys() - {"serverVersion"}
    for name in compared:
        (problem,) = redis.differences(SPEC, {**fits, name: "else"})
        assert problem.startswith(f"{name} is 'else', not ")
    assert len(redis.differences(SPEC, {})) == len(compared)


def test_sentinels_that_disagree_are_told_each_by_its_word() -> None:
    settings = in_force(lambda pod: {"down-after-milliseconds": "30000"} if pod == "rd-sentinel-1" else {})
    answers = {"rd-sentinel-0": 1000, "rd-sentinel-1": 30000, "rd-sentinel-2": 1000}
    assert settings["downAfterMilliseconds"] == answers
    assert redis.differences(SPEC, settings) == [f"downAfterMilliseconds is {answers}, not 1000"]


@pytest.mark.parametrize(
    ("change", "name", "says"),
    [
        ({"appendfsync": "always"}, "persistence", "always"),
        ({"file": "RESTARTED_PRIMARY='ComeBack'\n"}, "restartedPrimary", "ComeBack"),
        ({"file": "QUORUM=2\n"}, "restartedPrimary", None),
        ({"min-replicas-to-write": "0"}, "minReplicasToWrite", 0),
    ],
)
def test_a_replica_with_other_settings_than_the_primary_counts_since_it_may_be_promoted(
    change: dict[str, str], name: str, says: Json
) -> None:
    settings = in_force(lambda pod: change if pod == "rd-2" else {})
    assert settings[name] == {"rd-0": in_force()[name], "rd-1": in_force()[name], "rd-2": says}
    assert len(redis.differences(SPEC, settings)) == 1


def test_redis_is_asked_such_that_a_refusal_is_no_answer() -> None:
    """redis-cli without -e prints an error as if it were an answer."""
    fake = SimpleNamespace(execute=lambda *asked: "|".join(asked))
    server: Any = fake
    assert redis.ask(server, "ns", "rd-0", "CONFIG", "GET", "save") == ["ns|rd-0|lab-redis-cli|-e|CONFIG|GET|save"]


@pytest.mark.parametrize(
    ("appendonly", "appendfsync", "save", "word"),
    [
        ("no", "everysec", "", "none"),
        ("no", "everysec", "3600 1 300 100", "other"),
        ("yes", "everysec", "", "everysec"),
        ("yes", "always", "3600 1", "other"),
        ("yes", "always", "", "always"),
        ("yes", "no", "", "other"),
    ],
)
def test_what_a_member_keeps_has_the_specs_word(appendonly: str, appendfsync: str, save: str, word: str) -> None:
    assert redis.persistence({"appendonly": appendonly, "appendfsync": appendfsync, "save": save}) == word


def test_a_size_is_in_bytes() -> None:
    assert [size_bytes(size) for size in ("1Mi", "128Mi", "2Gi")] == [2**20, 2**27, 2**31]


def test_a_redis_cluster_is_ready_with_its_sentinels_its_persistence_and_no_restart_ahead() -> None:
    assert redis.not_ready(redis_cluster()) == ""
    assert redis.not_ready(redis_cluster(readySentinels=2)) == "2 of 3 Sentinels are ready"
    assert "other, not yet everysec" in redis.not_ready(redis_cluster(persistence="other"))
    assert "restarted: rd-2 syncs" in redis.not_ready(redis_cluster(rollout="rd-2 syncs"))


def replication(role: str, offset: int, replication_id: str = OLD, link: str = "up") -> str:
    of_replica = f"master_link_status:{link}\r\nslave_repl_offset:{offset}\r\n" if role == "slave" else ""
    # A replica's master_repl_offset is its own log's, and may be ahead of what it has applied.
    own = offset if role == "master" else offset + 500
    return f"# Replication\r\nrole:{role}\r\n{of_replica}master_replid:{replication_id}\r\nmaster_repl_offset:{own}\r\n"


def not_caught_up(primary: str | ExecFailed, *replicas: str | ExecFailed) -> str:
    says = {(f"rd-{number}", "INFO replication"): answer for number, answer in enumerate((primary, *replicas))}
    return redis.not_caught_up(server(says), "ns", redis_cluster())


def test_redis_replicas_have_caught_up_with_what_the_primary_had_when_it_was_asked() -> None:
    primary = replication("master", 1000)
    assert not_caught_up(primary, replication("slave", 1000), replication("slave", 1001)) == ""
    behind = not_caught_up(primary, replication("slave", 999), replication("slave", 1000))
    assert behind == "rd-1 is behind 1000"


def test_redis_replicas_without_a_link_of_another_history_or_silent_have_not_caught_up() -> None:
    primary, fine = replication("master", 1000), replication("slave", 2000)
    assert not_caught_up(primary, replication("slave", 2000, link="down"), fine) == "rd-1 has no link to the primary"
    assert not_caught_up(primary, fine, replication("master", 2000)) == "rd-2 has no link to the primary"
    assert not_caught_up(primary, fine, replication("slave", 2000, NEW)) == "rd-2 follows e7fde5a2, not 39110c49"
    silent = ExecFailed("lab-redis-cli in rd-1: Connection refused")
    assert not_caught_up(primary, silent, replication("slave", 5)) == f"{silent}; rd-2 is behind 1000"


def test_a_primary_that_is_none_any_more_or_silent_is_told() -> None:
    assert not_caught_up(replication("slave", 10)) == "rd-0 is not the primary any more"
    assert not_caught_up(ExecFailed("lab-redis-cli in rd-0: timed out")) == "lab-redis-cli in rd-0: timed out"


def test_the_first_beat_is_the_first_under_another_replication_id() -> None:
    beats = [f"{OLD} 7 1700000000000001", f"{NEW} 8 1700000002000002", f"{LATER} 9 1700000003000003"]
    fake = server({("rd-0", "LRANGE"): "\n".join([*beats, ""])})
    commit = redis.first_commit(fake, "ns", redis_cluster(epoch=LATER), OLD, "r1-clock")
    assert commit == FirstCommit(NEW, 1_700_000_002_000_002_000)
    assert redis.first_beat(beats[:1], OLD) is None
    assert redis.first_beat([], OLD) is None
    wiped = beats[1:]  # the primary came back empty
    assert redis.first_beat(wiped, OLD) == commit


def test_beats_are_looked_for_where_probers_write_them() -> None:
    run_id = clock_run("20261121-052233-1a2b3c")
    fake = server({("rd-0", "LRANGE"): ""})
    assert redis.first_commit(fake, "ns", redis_cluster(), OLD, run_id) is None
    assert fake.asked == [("rd-0", f"LRANGE caplab/{keys.run_number(run_id):07x}/clock 0 -1")]


def test_a_runs_number_and_keys_are_the_same_for_ever() -> None:
    assert keys.run_number("r1") == 0x20BCFA7  # the first 26 bits of its SHA-256
    assert keys.key_prefix("r1") == "20bcfa7/"
