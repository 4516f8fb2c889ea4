"""Patroni's settings for a cluster: those that it starts with, and those that can change while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caplab.contract.names import ROLE_LABEL, SCOPE_LABEL
from caplab.model.sizes import size_bytes

from ..parameters import taken
from .spec import PostgresSpec

# Patroni finds the members of its scope by this label of their pods.

# Postgres' own, for short runs on a small machine: a dead peer is noticed within 3 s,
# a rejoining one finds its log still there, and pg_rewind always works.
_PARAMETERS: dict[str, str] = {
    # Clients of three probers on every route, each with writes that block without a standby. Each has a process, and
    # a node that is a container of podman's defaults allows a pod only 307: beyond that no standby could connect again.
    "max_connections": "240",
    # Room for Patroni beside them: a former primary without a connection for its pg_rewind would never rejoin.
    "superuser_reserved_connections": "12",
    "shared_buffers": "32MB",
    "wal_log_hints": "on",
    "hot_standby_feedback": "on",
    "wal_sender_timeout": "3s",
    "wal_receiver_timeout": "3s",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "200ms",
    "tcp_user_timeout": "3s",
    "synchronous_commit": "on",
}

_WAL_KEPT_MEBIBYTES = 256  # without a slot: a rejoining member finds its log still there

# Strict: without a standby that counts for commits, writes block instead of turning asynchronous.
_SYNCHRONOUS: dict[str, dict[str, Any]] = {
    "async": {"synchronous_mode": False, "synchronous_mode_strict": False, "synchronous_node_count": 1},
    "quorum": {"synchronous_mode": "quorum", "synchronous_mode_strict": True, "synchronous_node_count": 1},
    "sync": {"synchronous_mode": True, "synchronous_mode_strict": True, "synchronous_node_count": 1},
}


def parameters(spec: PostgresSpec) -> dict[str, str]:
    """Return Postgres' parameters: the lab's and the spec's, without those that no spec may name."""
    return {
        **_PARAMETERS,
        **_bounds_of_the_log(size_bytes(spec.storage_size)),
        **taken(spec.ENGINE.name, spec.parameters),
    }


def _bounds_of_the_log(volume_bytes: int) -> dict[str, str]:
    """Return the parameters that bound the write-ahead log to about half of a volume, whichever replicas are away.

    A quarter of the volume is kept for a replica that is away, by its slot or without one; another quarter is for the
    log between two checkpoints. A replica that was away for longer gets a new copy (rejoin.py).
    """
    quarter = f"{volume_bytes // 4 // 2**20}MB"
    return {
        "wal_keep_size": f"{min(volume_bytes // 4 // 2**20, _WAL_KEPT_MEBIBYTES)}MB",
        "max_slot_wal_keep_size": quarter,
        "max_wal_size": quarter,
    }


def dynamic_settings(spec: PostgresSpec) -> dict[str, Any]:
    """Return the settings in Patroni's configuration store, which a PATCH of /config changes live."""
    failover = spec.failover
    return {
        "ttl": failover.ttl_seconds,
        "loop_wait": failover.loop_wait_seconds,
        "retry_timeout": failover.retry_timeout_seconds,
        "primary_start_timeout": failover.primary_start_timeout_seconds,
        "maximum_lag_on_failover": failover.maximum_lag_on_failover_bytes,
        "failsafe_mode": failover.failsafe_mode,
        "pause": False,  # a paused Patroni promotes no member
        **_SYNCHRONOUS[spec.durability],
        # Patroni compares places in the log, also of different timelines. A former primary may have got further in its
        # own than those that replaced it: it would take over again, without the writes that they have acknowledged.
        # An asynchronous cluster promises these to nobody, and may need that member if no other is left.
        "check_timeline": spec.durability != "async",
        "postgresql": {
            "use_pg_rewind": True,
            # A member that could not be rewound would start on its old timeline, wait for log that no member has, and
            # count as healthy: a new copy is better.
            "remove_data_directory_on_rewind_failure": True,
            "use_slots": True,
            "parameters": parameters(spec),
        },
    }


def drift(wanted: Mapping[str, Any], actual: Mapping[str, Any]) -> dict[str, Any]:
    """Build the patch that brings actual settings to the wanted ones; {} if none is needed.

    A null removes a parameter that is no longer wanted, as Patroni's PATCH defines it.
    """
    patch: dict[str, Any] = {}
    for name, value in wanted.items():
        if isinstance(value, Mapping):
            below = drift(value, _mapping(actual.get(name)))
            if below:
                patch[name] = below
        elif actual.get(name) != value:
            patch[name] = value
    if "parameters" in wanted:
        for name in set(_mapping(actual.get("parameters"))) - set(wanted["parameters"]):
            patch.setdefault("parameters", {})[name] = None
    return patch


def _mapping(value: object) -> Mapping[str, Any]:
    """Return a value that is a mapping, else {}: a member may report anything."""
    return value if isinstance(value, Mapping) else {}


def durability_of(config: Mapping[str, Any]) -> str:
    """Return the durability that actual settings amount to; 'other' for any other mix."""
    for name, settings in _SYNCHRONOUS.items():
        if all(config.get(key) == value for key, value in settings.items()):
            return name
    return "other"


def configuration(spec: PostgresSpec, scope: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Build patroni.yml, the same for every member; passwords come from the environment."""
    return {
        "scope": scope,
        "log": {"level": "INFO"},
        "restapi": {"listen": "0.0.0.0:8008"},
        "kubernetes": {
            "namespace": spec.namespace,
            "labels": dict(labels),
            "scope_label": SCOPE_LABEL,
            "role_label": ROLE_LABEL,
            "leader_label_value": "primary",
            "follower_label_value": "replica",
            "standby_leader_label_value": "primary",
            "use_endpoints": True,
            # Named as the Service names it: otherwise the Service has no endpoints.
            "ports": [{"name": "postgres", "port": spec.ENGINE.port}],
        },
        "bootstrap": {
            "dcs": dynamic_settings(spec),
            "initdb": [{"encoding": "UTF8"}, "data-checksums"],
            "post_init": "/usr/local/bin/create-application",
        },
        "postgresql": {
            "listen": "0.0.0.0:5432",
            "data_dir": "/data/pg",
            "bin_dir": "/usr/lib/postgresql/17/bin",
            "pgpass": "/tmp/pgpass",
            # Without it a new replica waits for the primary's next spread checkpoint.
            "basebackup": [{"checkpoint": "fast"}],
            "parameters": {"unix_socket_directories": "/tmp", "password_encryption": "scram-sha-256"},
            "pg_hba": [
                "local all all trust",
                "host replication replicator 0.0.0.0/0 scram-sha-256",
                "host all all 0.0.0.0/0 scram-sha-256",
            ],
            "authentication": {
                "superuser": {"username": "postgres"},
                "replication": {"username": "replicator"},
            },
        },
    }
