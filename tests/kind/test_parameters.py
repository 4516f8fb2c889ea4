"""What the real API server says to parameters and names; and the tables are what the engines in the images say."""

from __future__ import annotations

from typing import Any

import pytest
from parameters import asking, files
from support.kind.kind_lab import Lab

from caplab.contract.names import API_VERSION
from caplab.kube.client import Client
from caplab.kube.context import connect
from caplab.kube.errors import Refused
from caplab.kube.paths import path_of

pytestmark = pytest.mark.beside

LONG = pytest.mark.long


@pytest.mark.parametrize(
    "engine", ["postgres", pytest.param("cassandra", marks=LONG), pytest.param("redis", marks=LONG)]
)
def test_the_table_is_what_the_engine_in_the_image_says(lab: Lab, engine: str) -> None:
    settings = asking.ask(lab.engine, engine)
    assert files.as_text(files.decided(engine, settings)) == files.table_file(engine).read_text()
    # Planted: what an engine newly knows is found.
    assert (
        files.decided(engine, {**settings, "brand_new": {"kind": "bool"}}).keys()
        - files.decided(engine, settings).keys()
    )


FSYNC_BY_A_NAME = "zz.a = '1'\nfsync = off\nzz.b"
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("PostgresCluster", {"FSYNC": "off"}, '"FSYNC" is refused: durability or replication depends on it'),
    ("PostgresCluster", {"Synchronous_Commit": "off"}, '"Synchronous_Commit" is refused: durability'),
    ("PostgresCluster", {FSYNC_BY_A_NAME: "1"}, "PostgreSQL 17 has no parameter of that name"),
    ("PostgresCluster", {"fsync\n": "off"}, r'"fsync\n" is refused'),
    ("PostgresCluster", {"work_mem.": "8MB"}, '"work_mem." is refused'),
    ("PostgresCluster", {"": "1"}, '"" is refused'),
    ("PostgresCluster", {"\uff46sync": "off"}, '"\uff46sync" is refused'),
    ("PostgresCluster", {"y" * 63: "1"}, "yyy"),
    (
        "PostgresCluster",
        {"archive_command": "id > /tmp/pwned; true"},
        '"archive_command" is refused: it runs a command',
    ),
    ("PostgresCluster", {"shared_preload_libraries": "x"}, "it loads code into the members"),
    ("PostgresCluster", {"hba_file": "/tmp/x"}, "it names a file or a folder"),
    ("PostgresCluster", {"listen_addresses": "*"}, "the lab decides where members listen and connect"),
    ("PostgresCluster", {"log_statement": "all"}, "it writes statements to the log"),
    ("PostgresCluster", {"Work_Mem": "8MB"}, "parameters are written in lower case"),
    ("PostgresCluster", {"work_mem": "63kB"}, "work_mem must be a size from 64kB"),
    ("PostgresCluster", {"work_mem": "8MB\nfsync = off"}, "work_mem must be a size from 64kB"),
    ("PostgresCluster", {"max_connections": "0300"}, "max_connections must be a whole number from 30 to 1000"),
    ("PostgresCluster", {"jit": "maybe"}, "jit must be on or off"),
    ("PostgresCluster", {"jit": False}, 'in body must be of type string: "boolean"'),
    ("PostgresCluster", {"wal_compression": "zip"}, "wal_compression must be one of pglz, lz4"),
    ("PostgresCluster", {"checkpoint_timeout": "1s"}, "checkpoint_timeout must be a time from 30s"),
    ("PostgresCluster", {"random_page_cost": "1e9"}, "random_page_cost must be a number from 0"),
    ("RedisCluster", {"appendfsync": "no"}, '"appendfsync" is refused: another field of the spec sets it'),
    ("RedisCluster", {"DIR": "/"}, "it names a file or a folder"),
    ("RedisCluster", {"hz": "501"}, "hz must be a whole number from 1 to 500"),
    ("RedisCluster", {"notify-keyspace-events": 'K"\nsave ""'}, "made of the letters"),
    ("RedisCluster", {"slave-priority": "1"}, "it is an alias of another parameter"),
    ("CassandraCluster", {"commitlog_sync": "batch"}, "another field of the spec sets it"),
    ("CassandraCluster", {"authenticator": "AllowAllAuthenticator"}, "logins and their rights depend on it"),
    ("CassandraCluster", {"compaction_throughput": "24"}, "compaction_throughput must be a rate"),
    ("CassandraCluster", {"trickle_fsync": "true\nauthenticator: AllowAllAuthenticator"}, "true or false"),
]
TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("PostgresCluster", {"work_mem": "8MB", "jit": "off", "max_connections": "300", "random_page_cost": "1.1"}),
    ("PostgresCluster", {"autovacuum_work_mem": "-1", "shared_buffers": "4096", "vacuum_cost_delay": "2.5ms"}),
    (
        "RedisCluster",
        {"hz": "20", "repl-backlog-size": "16mb", "notify-keyspace-events": "KEA", "activerehashing": "no"},
    ),
    ("CassandraCluster", {"concurrent_reads": "16", "range_request_timeout": "5s", "trickle_fsync": "true"}),
]


@pytest.fixture
def api(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("KUBECONFIG", str(lab.cache.kubeconfig))
    return connect()


def tried(api: Client, kind: str, namespace: str, parameters: dict[str, Any], name: str = "x") -> str:
    """What the API server says against a cluster with these parameters; '' where it takes it. Nothing is made."""
    head = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}}
    body = {**head, "spec": {"parameters": parameters}}
    try:
        api.call("POST", path_of(API_VERSION, kind, namespace), {"dryRun": "All"}, body)
    except Refused as error:
        return error.reason
    return ""


def test_parameters_are_refused_with_their_name_and_the_reason_or_taken(api: Client, namespace: str) -> None:
    for kind, parameters, says in REFUSED:
        refused = tried(api, kind, namespace, parameters)
        assert "spec.parameters" in refused, f"{parameters} is taken"
        assert says in refused
    for kind, parameters in TAKEN:
        assert tried(api, kind, namespace, parameters) == ""


@pytest.mark.parametrize("kind", ["CassandraCluster", "PostgresCluster", "RedisCluster"])
def test_a_name_that_no_service_may_have_is_refused_with_the_hint(api: Client, namespace: str, kind: str) -> None:
    for name in ("1abc", "a.b"):
        refused = tried(api, kind, namespace, {}, name)
        assert "a cluster's Services are named after it, and no Service may be called" in refused
        assert "begin with a letter" in refused
    assert "metadata.name: Too long" in tried(api, kind, namespace, {}, "a" * 41)
    assert tried(api, kind, namespace, {}, "a" * 40) == ""
