"""Postgres: what clients see, which member is primary, and what its exporter reports of each member."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard

from .. import links, palette
from ..board import board
from ..grid import Section, line, section
from ..panels import Query
from ..queries import CLUSTER
from . import shared

_OF = 'caplab_cluster_ready{engine="postgres"}'


def dashboard_() -> dashboard.Dashboard:
    """Build the whole dashboard."""
    return board(
        links.OF_ENGINES["postgres"],
        "One PostgresCluster: its clients, its members, its replication, and the work its members do.",
        [shared.clients(_to()), _members(), _work()],
        shared.cluster_variables(_OF),
        CLUSTER,
    )


def _to() -> list[dashboard.DashboardLink]:
    return shared.to_run_and_overview()


def _members() -> Section:
    to = _to()
    replay = shared.of_exporter(
        "Replay delay of replicas",
        "How long ago the last transaction that a replica has replayed was committed. It grows while nothing is "
        "written, so it is lag only under load.",
        "s",
        to,
        shared.gauge("pg_replication_lag_seconds"),
    )
    sent = shared.of_exporter(
        "WAL that replicas have still to replay",
        "Bytes of WAL that the primary has written and a replica has not yet replayed, as the primary itself sees it: "
        "also what the replica has received, and not replayed.",
        "bytes",
        to,
        Query(f"max by (application_name) (pg_stat_replication_pg_wal_lsn_diff{{{CLUSTER}}})", "{{application_name}}"),
    )
    return section(
        "Members and replication",
        line(5, (12, shared.members(CLUSTER, to)), (12, shared.scraped("pg_up", "Postgres", to))),
        line(7, (6, shared.lag(CLUSTER, to)), (6, sent), (6, replay), (6, shared.epoch(CLUSTER, to))),
    )


def _work() -> Section:
    to = _to()
    commits = shared.of_exporter(
        "Commits a second",
        "Transactions committed, on each member.",
        "ops",
        to,
        shared.rate("pg_stat_database_xact_commit"),
    )
    rollbacks = shared.of_exporter(
        "Rollbacks a second",
        "Transactions rolled back, on each member: among them writes that a fault interrupted.",
        "ops",
        to,
        shared.rate("pg_stat_database_xact_rollback"),
    )
    sessions = shared.of_exporter(
        "Sessions",
        "Sessions on each member, whatever they do. The dashed line at 100 is Postgres' own default of "
        "max_connections; the lab sets 240 unless the cluster says otherwise.",
        "none",
        to,
        Query(f"sum by (member) (pg_stat_activity_count{{{CLUSTER}}})", shared.MEMBER),
        steps=((None, palette.OK), (100, palette.FAILED)),
    )
    active = shared.of_exporter(
        "Sessions at work",
        "Sessions with a statement under way. They pile up where commits wait for a standby.",
        "none",
        to,
        Query(f'sum by (member) (pg_stat_activity_count{{{CLUSTER},state="active"}})', shared.MEMBER),
    )
    return section("Work", line(7, (6, commits), (6, rollbacks), (6, sessions), (6, active)))
