"""Cassandra's settings for a cluster: those that members start with, and those that can change while they run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from ..parameters import taken
from .spec import CassandraSpec

Setting = str | float | bool  # as a member reports it; whole numbers are numbers

NUM_TOKENS = 4
# The lab's own, for three members on a small machine: buffers and pools for hundreds of operations a second, a commit
# log that fits into the volume beside the data, hints that are delivered as fast as the other takes them.
_OWN: dict[str, str] = {
    "num_tokens": str(NUM_TOKENS),
    "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
    "commitlog_segment_size": "8MiB",
    "commitlog_total_space": "128MiB",
    "commitlog_disk_access_mode": "legacy",
    "disk_optimization_strategy": "ssd",
    "hinted_handoff_throttle": "64MiB",
    "memtable_heap_space": "32MiB",
    "memtable_offheap_space": "32MiB",
    "file_cache_size": "32MiB",
    "key_cache_size": "4MiB",
    "counter_cache_size": "4MiB",
    "concurrent_reads": "8",
    "concurrent_writes": "8",
    "auto_snapshot": "false",
    "truncate_request_timeout": "60s",
    # A login must not wait for members that are away, and rights hardly ever change here.
    "auth_read_consistency_level": "LOCAL_ONE",
    "auth_write_consistency_level": "ONE",
    "roles_validity": "60s",
    "permissions_validity": "60s",
    "credentials_validity": "60s",
}
# Longer intervals between heartbeats are not counted as intervals. Cassandra means 2 s, and without this takes 23 days
# (ArrivalWindow.getMaxInterval of 5.0.6 reads its default of 2e9 ns as milliseconds): then the silence of each outage
# counts as one more interval, and the next outage is noticed later.
_LONGEST_HEARTBEAT_MILLISECONDS = 2000
_SHUTDOWN_MILLISECONDS = 500  # that a member waits for the others to hear that it ends; 2 s by itself
# Cassandra's own keyspaces. By default they have more copies than a small cluster has members, so none could leave.
_OWN_KEYSPACES = ("system_auth", "system_distributed", "system_traces")


def _live_options(spec: CassandraSpec) -> dict[str, str]:
    """Return the options of settings that a running member takes, so that they need no restart."""
    timeouts = spec.timeouts
    return {
        "phi_convict_threshold": str(spec.phi_convict_threshold),
        "hinted_handoff_enabled": str(spec.hinted_handoff.enabled).lower(),
        "max_hint_window": f"{spec.hinted_handoff.window_seconds}s",
        "read_request_timeout": f"{timeouts.read_milliseconds}ms",
        "write_request_timeout": f"{timeouts.write_milliseconds}ms",
        "cas_contention_timeout": f"{timeouts.cas_milliseconds}ms",
        "paxos_variant": spec.paxos_variant,
    }


def start_options(spec: CassandraSpec) -> dict[str, str]:
    """Return the options that Cassandra reads only when it starts."""
    return {
        "cluster_name": spec.name,
        "allocate_tokens_for_local_replication_factor": str(spec.replication_factor),
        **_OWN,
        **_commitlog(spec),
        "hints_flush_period": f"{spec.hinted_handoff.flush_period_milliseconds}ms",
        **taken(spec.ENGINE.name, spec.parameters),
    }


def _commitlog(spec: CassandraSpec) -> dict[str, str]:
    """Return the commit log's options. Cassandra refuses a period that its way of syncing does not use."""
    period = f"{spec.commitlog_sync_period_milliseconds}ms"
    periods = {"periodic": {"commitlog_sync_period": period}, "group": {"commitlog_sync_group_window": period}}
    return {"commitlog_sync": spec.commitlog_sync, **periods.get(spec.commitlog_sync, {})}


def cassandra_yaml(spec: CassandraSpec) -> str:
    """Build the cassandra.yaml that all members share; the start script adds what differs between members."""
    lines = {**start_options(spec), **_live_options(spec)}
    # Quoted, since a name may look like a number; the others are numbers, words and sizes.
    lines["cluster_name"] = json.dumps(spec.name)
    return "".join(f"{name}: {value}\n" for name, value in lines.items())


def jvm_options(spec: CassandraSpec) -> str:
    """Build the options for Java's command line, one a line."""
    gossip = spec.gossip
    properties = {
        "cassandra.gossip_settle_min_wait_ms": gossip.settle_milliseconds,
        "cassandra.gossip_settle_interval_ms": gossip.settle_interval_milliseconds,
        "cassandra.ring_delay_ms": gossip.ring_delay_milliseconds,
        # A replacement listens for this long, a minute by default, whether the member that it replaces is dead.
        "cassandra.broadcast_interval_ms": gossip.ring_delay_milliseconds,
        "cassandra.fd_max_interval_ms": _LONGEST_HEARTBEAT_MILLISECONDS,
        "cassandra.shutdown_announce_in_ms": _SHUTDOWN_MILLISECONDS,
        # A joining member streams from any members that are up: a dead one must not keep another from replacing it.
        "cassandra.consistent.rangemovement": "false",
        "cassandra.superuser_setup_delay_ms": 0,
        **{f"cassandra.{name}.default_rf": spec.replication_factor for name in _OWN_KEYSPACES},
    }
    memory = [f"-Xms{spec.heap_bytes}", f"-Xmx{spec.heap_bytes}"]
    return "".join(f"{line}\n" for line in [*memory, *(f"-D{name}={value}" for name, value in properties.items())])


def racks(zones: Mapping[str, str]) -> str:
    """Build a line for each node that has a zone, with the zone as its rack; zones are by node."""
    return "".join(f"{node} {zone}\n" for node, zone in sorted(zones.items()) if zone)


def restart_digest(spec: CassandraSpec) -> str:
    """Return a digest that changes if and only if a setting changes that needs a restart, or one is requested."""
    settings = [start_options(spec), jvm_options(spec), spec.operations.restart]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def live_settings(spec: CassandraSpec) -> dict[str, Setting]:
    """Return the settings enforced on a running member, by the names of its management port."""
    return {
        "phiConvictThreshold": spec.phi_convict_threshold,
        "hintedHandoffEnabled": spec.hinted_handoff.enabled,
        "hintWindowSeconds": spec.hinted_handoff.window_seconds,
        "readMilliseconds": spec.timeouts.read_milliseconds,
        "writeMilliseconds": spec.timeouts.write_milliseconds,
        "casMilliseconds": spec.timeouts.cas_milliseconds,
        "paxosVariant": spec.paxos_variant,
        # No spec names these, but they can be changed by hand, and durability depends on them.
        "hintsPaused": False,
        "hintsDisabledDatacenters": "",
        "keyspaceDurableWrites": True,
    }


def durability(spec: CassandraSpec) -> dict[str, Setting]:
    """Return the settings that decide what a member keeps of acknowledged writes, and how long it keeps hints."""
    wanted: dict[str, Setting] = {
        "commitlogSync": spec.commitlog_sync,
        "hintedHandoffEnabled": spec.hinted_handoff.enabled,
        "hintWindowSeconds": spec.hinted_handoff.window_seconds,
        "hintsPaused": False,
        "hintsDisabledDatacenters": "",
        "keyspaceDurableWrites": True,
        # In the words of images/cassandra. Copying all keys again is for people to decide: reported, not corrected.
        "keyspaceReplication": f"NetworkTopologyStrategy {{dc1={spec.replication_factor}}}",
    }
    if spec.commitlog_sync != "batch":
        wanted["commitlogSyncPeriodMilliseconds"] = spec.commitlog_sync_period_milliseconds
    return wanted


def settings(spec: CassandraSpec) -> dict[str, Setting]:
    """Return all settings that a member reports; those beside the live ones need a restart."""
    return {
        **live_settings(spec),
        **durability(spec),
        "hintsFlushPeriodMilliseconds": spec.hinted_handoff.flush_period_milliseconds,
        "ringDelayMilliseconds": spec.gossip.ring_delay_milliseconds,
        "heapBytes": spec.heap_bytes,
    }


def drift(wanted: Mapping[str, Setting], actual: Mapping[str, Setting]) -> dict[str, Setting]:
    """Return the settings to change so that a member with `actual` has the wanted ones; {} if it has them."""
    return {name: value for name, value in wanted.items() if actual.get(name) != value}


def options_drift(spec: CassandraSpec, actual: Mapping[str, str]) -> dict[str, str]:
    """Return the options that differ in a member's file from the spec's, among those that the member reports."""
    wanted = start_options(spec)
    return {name: value for name, value in wanted.items() if name in actual and not _is_option(value, actual[name])}


def _is_option(wanted: str, actual: str) -> bool:
    """Whether an option is as asked for. With 0 and -1 Cassandra chooses the value itself."""
    if wanted in (actual, "0", "-1"):
        return True
    try:
        return float(wanted) == float(actual)
    except ValueError:
        return False


def as_text(value: Setting) -> str:
    """Format a setting as a member takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
