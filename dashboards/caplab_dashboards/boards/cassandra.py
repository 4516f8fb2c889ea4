"""Cassandra: what clients see, which members each member sees as up, and what its JVM reports."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.dashboard import DashboardLink, Panel

from .. import links, palette
from ..board import board
from ..grid import Section, line, section
from ..panels import About, Query, timeline
from ..queries import CLUSTER
from . import shared

_OF = 'caplab_cluster_ready{engine="cassandra"}'
_NO_PEER_DOWN = ((None, palette.OK), (1, palette.FAILED))


def dashboard_() -> dashboard.Dashboard:
    """Build the whole dashboard."""
    return board(
        links.OF_ENGINES["cassandra"],
        "One CassandraCluster: its clients, what its members think of each other, and what coordinators could not do.",
        [shared.clients(_to()), _members(), _coordinators(), _work()],
        shared.cluster_variables(_OF),
        CLUSTER,
    )


def _to() -> list[dashboard.DashboardLink]:
    return shared.to_run_and_overview()


def _members() -> Section:
    to = _to()
    down = shared.of_exporter(
        "Peers seen as down",
        "How many members each member's failure detector sees as down. In a cut, each side sees the other as down.",
        "none",
        to,
        shared.gauge("cassandra_endpoints_down"),
        steps=_NO_PEER_DOWN,
        stepped=True,
    )
    return section(
        "Members",
        line(
            6,
            (8, shared.members(CLUSTER, to)),
            (8, _answering(to)),
            (8, down),
        ),
    )


def _answering(to: Sequence[DashboardLink]) -> Panel:
    """Build the panel of members that answer. Cassandra's exporter is in its JVM: it is silent if the process is."""
    about = About(
        title="Members whose JVM answers",
        description="Whether each member's own exporter answers; red where its process is gone, frozen or cut off.",
        unit="none",
        links=to,
    )
    expr = f'min by (member) (up{{{CLUSTER},engine="cassandra"}})'
    return timeline(about, palette.SCRAPES, Query(expr, shared.MEMBER))


def _coordinators() -> Section:
    to = _to()
    requests = shared.of_exporter(
        "Requests a second",
        "Requests that each member coordinated.",
        "ops",
        to,
        shared.rate("cassandra_client_requests_total"),
    )
    timeouts = shared.of_exporter(
        "Timeouts a second",
        "Requests whose replicas did not answer in time: whether a write took effect is unknown.",
        "ops",
        to,
        shared.rate("cassandra_client_request_timeouts_total"),
    )
    unavailable = shared.of_exporter(
        "Unavailable a second",
        "Requests refused at once, because too few replicas were up for their level: they took no effect.",
        "ops",
        to,
        shared.rate("cassandra_client_request_unavailables_total"),
    )
    failures = shared.of_exporter(
        "Failures a second", "Requests that a replica answered with an error.", "ops", to,
        shared.rate("cassandra_client_request_failures_total"),
    )  # fmt: skip
    return section(
        "What coordinators could not do", line(7, (6, requests), (6, timeouts), (6, unavailable), (6, failures))
    )


def _work() -> Section:
    to = _to()
    hints = shared.of_exporter(
        "Hints written a second",
        "Writes that a coordinator keeps for a member that is down, to deliver them later.",
        "ops",
        to,
        shared.rate("cassandra_hints_total"),
    )
    dropped = shared.of_exporter(
        "Messages dropped a second",
        "Messages of all types that waited longer than their timeout and were dropped.",
        "ops",
        to,
        shared.rate("cassandra_dropped_messages_total"),
    )
    slowest = shared.of_exporter(
        "Coordinators: p99 of the slowest operation",
        "99th percentile of each member's own count of the requests it coordinates, of the slowest kind; the last "
        "minutes count most.",
        "s",
        to,
        Query(
            f'max by (member) (cassandra_client_request_latency_seconds{{{CLUSTER},quantile="0.99"}})', shared.MEMBER
        ),
    )
    memory = shared.of_exporter(
        "Heap", "What each member's JVM keeps on its heap.", "bytes", to,
        Query(f'max by (member) (jvm_memory_used_bytes{{{CLUSTER},area="heap"}})', shared.MEMBER),
    )  # fmt: skip
    return section("Work", line(7, (6, hints), (6, dropped), (6, slowest), (6, memory)))
