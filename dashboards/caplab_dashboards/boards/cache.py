"""Cache: a RedisCluster in front of a database, and what happens when it is cold, full or gone."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.dashboard import Panel

from .. import links, palette, queries
from ..board import board
from ..grid import Section, line, section
from ..panels import About, Query, Steps, graph, timeline
from ..queries import CLUSTER, RECENT, VANTAGE
from . import shared

_SELECTED = f'{CLUSTER},{VANTAGE},workload="cache"'
_OF = 'caplab_operations_total{workload="cache"}'


def dashboard_() -> dashboard.Dashboard:
    """Build the whole dashboard."""
    return board(
        links.CACHE,
        "A Redis cache in front of a database: what readers see, what reaches the database, what is evicted.",
        [_readers(), _through(), _keys()],
        shared.cluster_variables(_OF),
        CLUSTER,
    )


def _to() -> list[dashboard.DashboardLink]:
    return [links.to(links.RUN), links.to(links.OF_ENGINES["redis"]), links.to(links.OVERVIEW, "")]


def _readers() -> Section:
    to = _to()
    about = About(
        title="Readers, second by second",
        description=(
            "Outcomes of the reads that ended in each second, answered by the cache or by the database. "
            "Red: none was answered."
        ),
        unit="none",
        links=to,
    )
    readers = timeline(
        about, palette.OUTCOMES, Query(queries.outcomes(_SELECTED, queries.READS, "vantage"), "{{vantage}}")
    )
    return section(
        "What readers see",
        line(6, (24, readers)),
        line(7, (12, shared.latency_heat(f'{_SELECTED},op="read"', to)), (12, _latency())),
    )


def _latency() -> Panel:
    about = About(
        title="Latency of reads: p50 and p99",
        description="Median and 99th percentile of reads, by vantage. An avalanche shows as both climbing at once.",
        unit="s",
        links=_to(),
    )
    both = [
        Query(queries.quantile(share, f'{_SELECTED},op="read"', "vantage"), f"{{{{vantage}}}} {name}")
        for share, name in ((0.5, "p50"), (0.99, "p99"))
    ]
    return graph(about, *both, steps=shared.LATENCY, colors=shared.BY_VANTAGE, logarithmic=True)


def _through() -> Section:
    return section("Reads that reach the database", line(7, (8, _reads()), (8, _loads()), (8, _hits())))


def _each_second(ops: str, outcome: str = "") -> str:
    return f'sum by (vantage) (irate(caplab_operations_total{{{_SELECTED},op="{ops}"{outcome}}}[{RECENT}]))'


def _reads() -> Panel:
    about = About(
        title="Reads a second",
        description="Reads that were answered in each second, by vantage.",
        unit="rps",
        links=_to(),
    )
    return graph(about, Query(_each_second("read", ',outcome="ok"'), "{{vantage}}"), colors=shared.BY_VANTAGE)


def _loads() -> Panel:
    about = About(
        title="Loads from the database a second",
        description=(
            "Loads that readers asked of the database because the cache had no answer. A stampede is many loads of one "
            "key; the right protection keeps them few."
        ),
        unit="rps",
        links=_to(),
    )
    return graph(about, Query(_each_second("load"), "{{vantage}}"), colors=shared.BY_VANTAGE)


def _hits() -> Panel:
    about = About(
        title="Hit ratio",
        description="The share of lookups that found their key, on all members together.",
        unit="percentunit",
        links=_to(),
    )

    def rate(name: str) -> str:
        return f"sum by (cluster) (rate({name}{{{CLUSTER}}}[$__rate_interval]))"

    hits, misses = rate("redis_keyspace_hits_total"), rate("redis_keyspace_misses_total")
    steps: Steps = ((None, palette.FAILED), (0.5, palette.UNKNOWN), (0.9, palette.OK))
    query = Query(f"{hits} / ({hits} + {misses} > 0)", "{{cluster}}")
    return graph(about, query, steps=steps, colors={".*": palette.OK})


def _keys() -> Section:
    to = _to()

    evicted = shared.of_exporter(
        "Keys evicted a second",
        "Keys that were removed because memory was full.",
        "ops",
        to,
        shared.rate("redis_evicted_keys_total"),
    )
    expired = shared.of_exporter(
        "Keys expired a second", "Keys whose time to live was over.", "ops", to, shared.rate("redis_expired_keys_total")
    )
    memory = shared.of_exporter(
        "Memory", "What each member has allocated: keys, buffers and the replication backlog.", "bytes", to,
        shared.gauge("redis_memory_used_bytes"),
    )  # fmt: skip
    return section(
        "Keys and members",
        line(7, (8, evicted), (8, expired), (8, memory)),
        line(5, (24, shared.members(CLUSTER, to))),
    )
