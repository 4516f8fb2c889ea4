"""Ports by number, as servers listen at them, clients connect to them, and network policies allow them."""

from __future__ import annotations

# The lab's own pods.
OPERATOR_HEALTH = 8080
AGENT_METRICS, PROBER_METRICS, OPERATOR_METRICS = 9186, 9187, 9188  # a prober serves histories there too
SCRAPE_TARGETS = 9189  # the operator's, for Prometheus

# Clusters' pods. What runs beside a Redis member has its own copy: its image has no other package.
POSTGRES, PATRONI = 5432, 8008
REDIS, SENTINEL = 6379, 26379
CQL, CASSANDRA_MANAGEMENT, CASSANDRA_STORAGE = 9042, 7480, 7000
POSTGRES_EXPORTER, REDIS_EXPORTER, CASSANDRA_METRICS = 9187, 9121, 7070
