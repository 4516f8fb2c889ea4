"""Ports by number, as servers listen at them, clients connect to them, and network policies allow them."""

from __future__ import annotations

# The lab's own pods.
OPERATOR_HEALTH = 8080
AGENT_METRICS, PROBER_METRICS, OPERATOR_METRICS = 9186, 9187, 9188  # a prober serves histories there too
SCRAPE_TARGETS = 9189  # the operator's, for Prometheus

# Clusters' pods, beside the ports of engines.py. What runs beside a Redis member has its own copies: its image has no
# other package.
PATRONI, SENTINEL = 8008, 26379
CASSANDRA_MANAGEMENT, CASSANDRA_STORAGE = 7480, 7000
