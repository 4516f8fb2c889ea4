"""Runs, clusters and deletions at random beside somebody else's databases, which stay as they are."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE as LAB_NAMESPACE
from caplab_operator import api
from caplab_operator.api import Api
from caplab_operator.engines.ownership import ForeignObject
from caplab_operator.handlers import applied
from caplab_operator.handlers.redis import clusters as redis
from caplab_operator.settings import LAB_NAMESPACE_VARIABLE
from support.kind.bystander import DATABASES, Bystander
from support.kind.cluster_object import ClusterObject
from support.kind.kind_lab import Lab, log_folder, wait_until
from support.kind.lab_runs import BIN, environment

from caplab.contract.engines import REDIS
from caplab.contract.names import API_VERSION, CHAOS_LABEL
from caplab.kube.errors import ApiError

pytestmark = pytest.mark.alone

PAIRS, SEED = (int(os.environ.get(f"CAPLAB_TEST_{name}", default)) for name, default in (("PAIRS", 30), ("SEED", 18)))
LAB_FAILED, OF_A_RUN = 3, (0, 1, 2, 3)
QUICK = {"seconds": "2", "rate": "20"}


@dataclass(frozen=True)
class Neighbour:
    """What the lab is asked to do in the bystander's namespace and beside it, as users do."""

    lab: Lab
    namespace: str
    results: Path
    random: random.Random

    def run_of_a_setting_that_is_unknown(self) -> str:
        return self._expect(LAB_FAILED, self._engine("control"), namespace=self.namespace, bogus="1")

    def run_without_a_place_for_its_results(self) -> str:
        done = self._caplab("redis/control", "--results", "/dev/null/x", namespace=self.namespace)
        assert done == LAB_FAILED
        return f"results in /dev/null/x: exit {done}"

    def run_here(self) -> str:
        return self._expect(OF_A_RUN, "redis/control", namespace=self.namespace, **QUICK)

    def run_in_the_labs_own_namespace(self) -> str:
        return self._expect(OF_A_RUN, "redis/control", **QUICK)

    def run_that_is_killed(self) -> str:
        return self._end(signal.SIGKILL)

    def run_that_is_told_to_end(self) -> str:
        return self._end(signal.SIGTERM)

    def cluster_of_another_kind_by_the_same_name(self) -> str:
        theirs = self.random.choice(sorted(DATABASES))
        kind = self.random.choice([kind for kind in sorted(DATABASES) if kind != theirs])
        return self._collide(kind, DATABASES[theirs])

    def cluster_whose_objects_are_there_already(self) -> str:
        return self._collide(self.random.choice(sorted(DATABASES)), "shop")

    def cluster_made_and_deleted(self) -> str:
        cluster = ClusterObject(
            lab=self.lab, kind="RedisCluster", namespace=self.namespace, name=f"brief-{uuid.uuid4().hex[:6]}"
        )
        cluster.apply(replicas=2)
        time.sleep(self.random.uniform(0, 5))  # into whatever is under way
        self.lab.kubectl("delete", cluster.kind, "-n", self.namespace, cluster.name)
        return f"{cluster.kind} {cluster.name} made and deleted"

    def everything_is_healed(self) -> str:
        done = subprocess.run(
            [str(BIN / "caplab"), "heal"], env=environment(self.lab), capture_output=True, check=False
        )
        assert done.returncode in (0, LAB_FAILED)
        return f"caplab heal: exit {done.returncode}"

    def fault_on_a_cluster_that_is_not_there(self) -> str:
        name = f"fault-{uuid.uuid4().hex[:6]}"
        spec = {
            "target": {"kind": "RedisCluster", "name": "nobody", "role": "primary"},
            "kill": {},
            "durationSeconds": 5,
        }
        metadata = {"name": name, "namespace": self.namespace}
        self.lab.try_apply({"apiVersion": API_VERSION, "kind": "Fault", "metadata": metadata, "spec": spec})
        self.lab.kubectl("delete", "fault", "-n", self.namespace, name, "--ignore-not-found")
        return "a fault on nobody, deleted"

    def actions(self) -> list[Callable[[], str]]:
        """All of them."""
        return [
            self.run_of_a_setting_that_is_unknown,
            self.run_without_a_place_for_its_results,
            self.run_here,
            self.run_in_the_labs_own_namespace,
            self.run_that_is_killed,
            self.run_that_is_told_to_end,
            self.cluster_of_another_kind_by_the_same_name,
            self.cluster_whose_objects_are_there_already,
            self.cluster_made_and_deleted,
            self.everything_is_healed,
            self.fault_on_a_cluster_that_is_not_there,
        ]

    def _engine(self, experiment: str) -> str:
        return f"{self.random.choice(['postgres', 'redis', 'cassandra'])}/{experiment}"

    def _collide(self, kind: str, name: str) -> str:
        """A cluster that wants objects of somebody else's says which, for as long as it is there."""
        cluster = ClusterObject(lab=self.lab, kind=kind, namespace=self.namespace, name=name)
        cluster.apply()
        status = cluster.await_status("it says that there is a conflict", lambda status: bool(conflict(status)))
        self.lab.kubectl("delete", kind, "-n", self.namespace, name)
        wait_until("it is gone", lambda: not self._is_there(kind, name))
        return f"{kind} {name}: {conflict(status)}"

    def _is_there(self, kind: str, name: str) -> bool:
        return bool(self.lab.kubectl("get", kind, "-n", self.namespace, name, "--ignore-not-found", "-o", "name"))

    def _end(self, how: signal.Signals) -> str:
        command = self._command("redis/control", namespace=self.namespace, **QUICK)
        with (log_folder() / "run-beside-others.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment(self.lab), stdout=log, stderr=log)
            time.sleep(self.random.uniform(1, 12))  # into whatever it does then
            process.send_signal(how)
            code = process.wait(120)
        return f"redis/control {how.name}: exit {code}"

    def _expect(self, codes: int | tuple[int, ...], name: str, **settings: str) -> str:
        code = self._caplab(name, **settings)
        assert code in (codes if isinstance(codes, tuple) else (codes,)), f"{name} {settings}: exit {code}"
        return f"{name} {settings}: exit {code}"

    def _caplab(self, name: str, *more: str, **settings: str) -> int:
        with (log_folder() / "run-beside-others.log").open("ab") as log:
            command = [*self._command(name, **settings), *more]
            return subprocess.run(command, env=environment(self.lab), stdout=log, stderr=log, check=False).returncode

    def _command(self, name: str, **settings: str) -> list[str]:
        options = [word for setting, value in settings.items() for word in ("--set", f"{setting}={value}")]
        return [str(BIN / "caplab"), "run", name, "--results", str(self.results / uuid.uuid4().hex[:8]), *options]


def conflict(status: Any) -> str:
    """What a status says of a conflict; '' where there is none."""
    conditions = status.get("conditions") or []
    return next(
        (
            condition["message"]
            for condition in conditions
            if (condition["type"], condition["status"]) == ("Conflict", "True")
        ),
        "",
    )


@pytest.fixture
def bystander(lab: Lab, namespace: str) -> Iterator[Bystander]:
    lab.kubectl("label", "namespace", namespace, f"{CHAOS_LABEL}=allowed", "--overwrite")
    there = Bystander(lab, namespace)
    there.create()
    yield there
    for kind, name in DATABASES.items():
        lab.kubectl("delete", kind, "-n", namespace, name, "--ignore-not-found", "--wait=false")


@pytest.mark.long
def test_databases_of_others_keep_uid_rows_and_passwords_whatever_the_lab_does_beside_them(
    lab: Lab, bystander: Bystander, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    neighbour = Neighbour(lab, bystander.namespace, tmp_path, chance)
    before = bystander.state()
    print(f"\nseed {SEED}; {len(before)} things of the bystander's are looked at after each pair")
    order = chance.choices(neighbour.actions(), k=2 * PAIRS)
    with ThreadPoolExecutor(2) as pool:
        for number in range(PAIRS):
            began = time.monotonic()
            outcomes = list(pool.map(lambda action: action(), order[2 * number : 2 * number + 2]))
            assert bystander.state() == before, outcomes
            print(f"| {number + 1} | {outcomes[0]} | {outcomes[1]} | {time.monotonic() - began:.0f} s |", flush=True)


def shop(namespace: str) -> dict[str, Any]:
    """A RedisCluster as the API server would return it, whose objects are the bystander's already."""
    failover = {
        "downAfterMilliseconds": 1000,
        "failoverTimeoutMilliseconds": 6000,
        "restartedPrimary": "ComeBack",
        "fastPath": True,
    }
    spec = {
        "replicas": 2,
        "sentinels": 3,
        "persistence": "none",
        "minReplicasToWrite": 0,
        "minReplicasMaxLagSeconds": 3,
        "failover": failover,
        "maxMemory": "64Mi",
        "evictionPolicy": "noeviction",
        "storage": {"size": "1Gi", "onDeletion": "Delete"},
        "resources": {"memoryRequest": "64Mi", "cpuRequest": "20m"},
        "parameters": {},
    }
    metadata = {"name": "shop", "namespace": namespace, "uid": str(uuid.uuid4()), "generation": 1}
    return {"apiVersion": API_VERSION, "kind": "RedisCluster", "metadata": metadata, "spec": spec}


def test_only_the_question_whose_an_object_is_keeps_a_bystanders_objects(
    lab: Lab, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: the operator's own code, run here by an administrator, whom no policy holds back."""
    monkeypatch.setenv("KUBECONFIG", str(lab.cache.kubeconfig))
    monkeypatch.setenv(REDIS.image_variable, lab.images["redis"])
    monkeypatch.setenv(LAB_NAMESPACE_VARIABLE, LAB_NAMESPACE)
    bystander = Bystander(lab, namespace, kinds=())
    bystander.create()
    before, operator, cluster = bystander.state(), redis.RedisClusters(), shop(namespace)
    with pytest.raises(ForeignObject) as refused:
        operator.reconcile(Api(), cluster)
    for name in ("Service shop-any", "Secret shop-passwords", "ConfigMap shop-redis", "data-shop-0"):
        assert name in str(refused.value)
    assert bystander.state() == before
    monkeypatch.setattr(api, "is_own", lambda *_: True)
    for question in ("foreign_claims", "foreign_pods"):
        monkeypatch.setattr(applied, question, lambda *_: [])
    monkeypatch.setattr(applied, "are_to_be_derived", lambda *_: True)  # it would not overwrite a Secret either
    with suppress(ApiError):  # two objects merged into one may make no sense to the API server
        operator.reconcile(Api(), cluster)
    wait_until("the bystander's objects are not as they were", lambda: not bystander.is_unchanged(before), 10)
