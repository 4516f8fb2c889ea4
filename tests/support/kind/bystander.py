"""Databases and objects of others on the lab's cluster, and checks that they are unchanged."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from caplab_cluster.chart import NAMESPACE as LAB_NAMESPACE

from caplab.contract.names import VANTAGE_LABEL
from caplab.kube.errors import NotFound
from support.kind.cluster_object import ClusterObject
from support.kind.kind_lab import Lab, in_namespace
from support.kind.postgres_cluster import sql

ROWS = ("ada", "grace", "edsger")
DATABASES = {"PostgresCluster": "orders", "RedisCluster": "sessions", "CassandraCluster": "events"}
# The probers' image has a client of Cassandra's protocol; keyspace and role are the cluster's own.
_CASSANDRA = """
import sys
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster
host, password, *statements = sys.argv[1:]
with Cluster([host], auth_provider=PlainTextAuthProvider("caplab", password), connect_timeout=10) as cluster:
    session = cluster.connect("caplab")
    for statement in statements:
        rows = [row[0] for row in session.execute(statement, timeout=20)]
    print(",".join(sorted(rows)))
"""
# Objects that a user keeps beside databases, with names that a cluster called `shop` would use itself.
_OBJECTS: list[dict[str, Any]] = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shop-any"},
        "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]},
    },
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-passwords"}, "stringData": {"token": "mine"}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop-redis"}, "data": {"kept": "as it is"}},
    {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-shop-0"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    },
]


@dataclass(frozen=True)
class Bystander:
    """A namespace with databases of those kinds, rows in them, and a few objects of the user's own."""

    lab: Lab
    namespace: str
    kinds: tuple[str, ...] = tuple(DATABASES)

    def create(self) -> None:
        """Create everything, and wait until every database has its rows."""
        self.lab.apply(*in_namespace(self.namespace, *_OBJECTS))
        for kind in self.kinds:
            self._cluster(kind).apply()
        for kind in self.kinds:
            self._cluster(kind).await_ready(3)
            self._write(kind)

    def state(self) -> dict[str, Any]:
        """Read what must stay: each object's identity, the Secrets' content, and the rows, read with their login."""
        own: dict[str, Any] = {f"{item['kind']}/{item['metadata']['name']}": item for item in self._own()}
        kept: dict[str, Any] = {name: _kept(item) for name, item in own.items()}
        for kind in self.kinds:
            cluster = self._cluster(kind)
            kept[f"uid of {kind}"] = cluster.read()["metadata"]["uid"]
            kept[f"login of {kind}"] = self._password(kind)
            kept[f"volumes of {kind}"] = [cluster.volume(f"{cluster.name}-{number}") for number in range(3)]
            kept[f"rows of {kind}"] = self._read(kind)
        return kept

    def is_unchanged(self, before: Mapping[str, Any]) -> bool:
        """Return whether everything is there, and unchanged."""
        try:
            return self.state() == before
        except NotFound:  # something is gone
            return False

    def _cluster(self, kind: str) -> ClusterObject:
        return ClusterObject(lab=self.lab, kind=kind, namespace=self.namespace, name=DATABASES[kind])

    def _own(self) -> list[dict[str, Any]]:
        names = [f"{item['kind'].lower()}/{item['metadata']['name']}" for item in _OBJECTS]
        items: list[dict[str, Any]] = self.lab.get(*names, "-n", self.namespace)["items"]
        return items

    def _password(self, kind: str) -> str:
        secret = self.lab.get("secret", "-n", self.namespace, f"{DATABASES[kind]}-application")
        return base64.b64decode(secret["data"]["password"]).decode()

    def _primary(self, kind: str) -> str:
        return str(self._cluster(kind).status()["primary"])

    def _write(self, kind: str) -> None:
        match kind:
            case "PostgresCluster":
                values = ", ".join(f"('{row}')" for row in ROWS)
                statement = (
                    f"CREATE TABLE kept (name text); INSERT INTO kept VALUES {values}; GRANT ALL ON kept TO caplab"
                )
                sql(self.lab, self.namespace, self._primary(kind), statement)
            case "RedisCluster":
                self._redis("sadd", "kept", *ROWS)
            case "CassandraCluster":
                insert = [f"INSERT INTO kept (name) VALUES ('{row}')" for row in ROWS]
                self._cassandra("CREATE TABLE IF NOT EXISTS kept (name text PRIMARY KEY)", *insert)

    def _read(self, kind: str) -> tuple[str, ...]:
        match kind:
            case "PostgresCluster":
                dsn = f"postgresql://caplab:{self._password(kind)}@{DATABASES[kind]}-primary:5432/caplab"
                command = ["psql", dsn, "-AtXc", "SELECT name FROM kept ORDER BY name"]
                answer = self.lab.inside(self.namespace, self._primary(kind), *command)
                assert answer.ok, answer.err
                return tuple(answer.out.split())
            case "RedisCluster":
                return tuple(sorted(self._redis("smembers", "kept").split()))
            case _:
                return tuple(self._cassandra("SELECT name FROM kept").strip().split(","))

    def _redis(self, *command: str) -> str:
        login = ["--no-auth-warning", "--user", "caplab", "--pass", self._password("RedisCluster")]
        primary = self._primary("RedisCluster")
        answer = self.lab.inside(self.namespace, primary, "redis-cli", *login, *command)
        assert answer.ok, answer.err
        return answer.out

    def _cassandra(self, *statements: str) -> str:
        host = f"{DATABASES['CassandraCluster']}-any.{self.namespace}.svc.cluster.local"
        (prober, *_) = self.lab.get("pods", "-n", LAB_NAMESPACE, "-l", VANTAGE_LABEL)["items"]
        command = ["python3", "-c", _CASSANDRA, host, self._password("CassandraCluster"), *statements]
        answer = self.lab.inside(LAB_NAMESPACE, prober["metadata"]["name"], *command)
        assert answer.ok, answer.err
        return answer.out


def _kept(item: dict[str, Any]) -> str:
    """Return an object as its owner made it: identity, owner, content; a claim's phase and node may come later."""
    metadata = item["metadata"]
    content = {name: item.get(name) for name in ("data", "spec") if item["kind"] != "PersistentVolumeClaim"}
    return json.dumps(
        [metadata["uid"], metadata.get("labels"), metadata.get("ownerReferences"), content], sort_keys=True
    )
