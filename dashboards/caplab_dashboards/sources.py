"""Existing metrics and their types: the lab's own by docs/metrics.md, and those of the engines' exporters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
METRICS_PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
_ROW = re.compile(r"^\|\s*`(caplab_\w+)[`{]")
_TYPE = re.compile(rf"\|\s*({COUNTER}|{GAUGE}|{HISTOGRAM})\s*(?=\|)")

PROMETHEUS = {"ALERTS": GAUGE, "up": GAUGE}
# Debian's prometheus-postgres-exporter, as operator/caplab_operator/engines/postgres/exporter.py starts it.
# Its counters lack the ending _total.
POSTGRES = {
    "pg_replication_lag_seconds": GAUGE,
    "pg_stat_activity_count": GAUGE,
    "pg_stat_database_xact_commit": COUNTER,
    "pg_stat_database_xact_rollback": COUNTER,
    "pg_stat_replication_pg_wal_lsn_diff": GAUGE,
    "pg_up": GAUGE,
}
# Debian's prometheus-redis-exporter.
REDIS = {
    "redis_commands_processed_total": COUNTER,
    "redis_connected_clients": GAUGE,
    "redis_connected_slaves": GAUGE,
    "redis_evicted_keys_total": COUNTER,
    "redis_expired_keys_total": COUNTER,
    "redis_keyspace_hits_total": COUNTER,
    "redis_keyspace_misses_total": COUNTER,
    "redis_master_link_up": GAUGE,
    "redis_master_repl_offset": GAUGE,
    "redis_memory_used_bytes": GAUGE,
    "redis_rdb_changes_since_last_save": GAUGE,
    "redis_up": GAUGE,
}
# The JMX exporter in Cassandra's JVM, as images/cassandra/conf/exporter.yaml names its beans.
CASSANDRA = {
    "cassandra_client_request_failures_total": COUNTER,
    "cassandra_client_request_latency_seconds": GAUGE,
    "cassandra_client_request_timeouts_total": COUNTER,
    "cassandra_client_request_unavailables_total": COUNTER,
    "cassandra_client_requests_total": COUNTER,
    "cassandra_dropped_messages_total": COUNTER,
    "cassandra_endpoints_down": GAUGE,
    "cassandra_hints_total": COUNTER,
    "jvm_memory_used_bytes": GAUGE,
}
EXPORTERS: Mapping[str, Mapping[str, str]] = {"postgres": POSTGRES, "redis": REDIS, "cassandra": CASSANDRA}


def of_page(markdown: str) -> dict[str, str]:
    """Return the lab's own metrics and their types, by the tables of docs/metrics.md."""
    metrics: dict[str, str] = {}
    for line in markdown.splitlines():
        name, type_ = _ROW.match(line), _TYPE.search(line)
        if name and type_:
            metrics[name[1]] = type_[1]
    return metrics


def series(metrics: Mapping[str, str]) -> dict[str, str]:
    """Return the names that queries use: a histogram has three counters."""
    names: dict[str, str] = {}
    for name, type_ in metrics.items():
        if type_ == HISTOGRAM:
            names |= {f"{name}_{part}": COUNTER for part in ("bucket", "count", "sum")}
        else:
            names[name] = type_
    return names


def known_series(page: Path = METRICS_PAGE) -> dict[str, str]:
    """Return every series that a dashboard may name, with its type."""
    metrics = dict(PROMETHEUS) | of_page(page.read_text())
    for exporter in EXPORTERS.values():
        metrics |= exporter
    return series(metrics)
