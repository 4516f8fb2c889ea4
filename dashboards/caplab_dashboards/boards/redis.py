"""Redis: what clients see, which member is primary, and what its exporter reports of each member."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard

from .. import links, palette
from ..board import board
from ..grid import Section, line, section
from ..panels import About, Query, timeline
from ..queries import CLUSTER
from . import shared

_OF = 'caplab_cluster_ready{engine="redis"}'


def dashboard_() -> dashboard.Dashboard:
    """Build the whole dashboard."""
    return board(
        links.OF_ENGINES["redis"],
        "One RedisCluster: its clients, its members, its replication, its memory and what it writes to disk.",
        [shared.clients(_to()), _members(), _work()],
        shared.cluster_variables(_OF),
        CLUSTER,
    )


def _to() -> list[dashboard.DashboardLink]:
    return [*shared.to_run_and_overview(), links.to(links.CACHE)]


def _members() -> Section:
    to = _to()
    link = timeline(
        About(
            title="Links of replicas to their primary",
            description="Whether each replica is linked to its primary; red if it is not. Primaries have no such link.",
            unit="none",
            links=to,
        ),
        palette.LINKS,
        Query(f"min by (member) (redis_master_link_up{{{CLUSTER}}})", shared.MEMBER),
    )
    replicas = shared.of_exporter(
        "Replicas connected",
        "How many replicas each member has. One member has all of them, unless there are two primaries.",
        "none",
        to,
        shared.gauge("redis_connected_slaves"),
        stepped=True,
    )
    offsets = shared.of_exporter(
        "Replication offset",
        "How far each member's replication has come. A replica that lags is below its primary; a member that gives "
        "up its own data for a new primary's jumps.",
        "bytes",
        to,
        shared.gauge("redis_master_repl_offset"),
    )
    return section(
        "Members and replication",
        line(5, (8, shared.members(CLUSTER, to)), (8, link), (8, shared.scraped("redis_up", "Redis", to))),
        line(7, (6, shared.lag(CLUSTER, to)), (6, offsets), (6, replicas), (6, shared.epoch(CLUSTER, to))),
    )


def _work() -> Section:
    to = _to()
    commands = shared.of_exporter(
        "Commands a second",
        "Commands that each member carried out.",
        "ops",
        to,
        shared.rate("redis_commands_processed_total"),
    )
    clients = shared.of_exporter(
        "Clients connected", "Clients of each member, replicas not among them.", "none", to,
        shared.gauge("redis_connected_clients"),
    )  # fmt: skip
    memory = shared.of_exporter(
        "Memory",
        "What each member has allocated: keys, buffers and the replication backlog. At maxmemory it evicts keys or "
        "refuses writes.",
        "bytes", to,
        shared.gauge("redis_memory_used_bytes"),
    )  # fmt: skip
    unsaved = shared.of_exporter(
        "Changes since the last snapshot",
        "Changes that are in no snapshot of a member; the append-only file, where there is one, has them.",
        "none",
        to,
        shared.gauge("redis_rdb_changes_since_last_save"),
    )
    return section("Work", line(7, (6, commands), (6, clients), (6, memory), (6, unsaved)))
