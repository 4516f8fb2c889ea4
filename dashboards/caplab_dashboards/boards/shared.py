"""Panels that several dashboards show: what clients observed, and what the operator reports of members."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.dashboard import DashboardLink, Panel

from .. import links, palette, queries, variables
from ..grid import Section, line, section
from ..panels import About, Query, Steps, graph, heat, timeline

BY_VANTAGE = {f"^{zone}( |$)": color for zone, color in palette.VANTAGES.items()}
BY_MEMBER = {f"-{number}( |$)": color for number, color in enumerate(palette.MEMBERS)}
ROUTED = "{{vantage}} {{route}}"
MEMBER = "{{member}}"
# The lab's clients wait a second at most for an answer, and five seconds without one fire an alert.
LATENCY: Steps = ((None, palette.OK), (1, palette.UNKNOWN), (5, palette.FAILED))


def cluster_variables(of: str) -> list[dashboard.VariableModel]:
    """Return the variables for cluster and vantage."""
    return [*variables.clusters(of), variables.vantage(queries.CLUSTER)]


def writes(selector: str, to: Sequence[DashboardLink]) -> Panel:
    """Build the panel of the outcomes of writes, second by second."""
    about = About(
        title="Writes, second by second",
        description=(
            "Outcomes of the writes that ended in each second, by vantage and route. Red is a second in which no "
            "write was acknowledged: a two-second outage is two seconds wide, to one. Blank: no probe ran."
        ),
        unit="none",
        links=to,
    )
    return timeline(about, palette.OUTCOMES, Query(queries.outcomes(selector, queries.WRITES), ROUTED))


def reads(selector: str, to: Sequence[DashboardLink]) -> Panel:
    """Build the panel of the outcomes of reads, second by second; stale ones take precedence over failed ones."""
    about = About(
        title="Reads, second by second",
        description=(
            "Outcomes of the reads that ended in each second, by vantage and route. Purple: a read missed a write "
            "that its own zone's prober had seen acknowledged before. Reads that missed what other zones wrote are "
            "found at the end of the run only."
        ),
        unit="none",
        links=to,
    )
    query = queries.outcomes(selector, queries.READS, stale=True)
    return timeline(about, palette.OUTCOMES, Query(query, ROUTED))


def members(selector: str, to: Sequence[DashboardLink]) -> Panel:
    """Build the panel of the members' roles, as the operator sees them."""
    about = About(
        title="Members: who is primary",
        description=(
            "Each member's role as the operator sees it. Two rows blue at once are two primaries. Cassandra has none: "
            "its members are up or down."
        ),
        unit="none",
        links=to,
    )
    return timeline(about, palette.ROLES, Query(queries.roles(selector), "{{member}} (zone {{zone}})"))


def since_last_ack(selector: str, access: str, to: Sequence[DashboardLink]) -> Panel:
    """Build the panel of the time since the last acknowledgement."""
    about = About(
        title=f"Since the last acknowledged {access}",
        description=(
            f"Seconds since a {access} was last acknowledged, by vantage and route. A line that climbs is an outage, "
            "and its peak is how long it was. From 5 s on an alert fires, but not for the side of a partition that "
            "need not be served."
        ),
        unit="s",
        links=to,
        decimals=1,
    )
    expr = f"max by (vantage, route) ({queries.since_ack(selector, access)})"
    steps: Steps = ((None, palette.OK), (5, palette.FAILED))
    return graph(about, Query(expr, ROUTED), steps=steps, colors=BY_VANTAGE)


def latency_heat(selector: str, to: Sequence[DashboardLink]) -> Panel:
    """Build the heatmap of the latency of acknowledged operations."""
    about = About(
        title="Latency of acknowledged operations",
        description=(
            "How many operations a second took how long, from the moment they were due to begin: what waited in the "
            "client counts. Operations that were not acknowledged are in the timelines."
        ),
        unit="s",
        links=to,
    )
    rate = f"rate(caplab_operation_latency_seconds_bucket{{{selector}}}[$__rate_interval])"
    return heat(about, Query(f"sum by (le) ({rate})", "{{le}}"), palette.OK)


def latency(selector: str, to: Sequence[DashboardLink]) -> Panel:
    """Build the panel of median and 99th percentile, by vantage."""
    about = About(
        title="Latency: p50 and p99",
        description=(
            "Median and 99th percentile of acknowledged operations by vantage, from the moment they were due, to the "
            "nearest bucket (1 ms to 30 s). On a logarithmic scale."
        ),
        unit="s",
        links=to,
    )
    both = [Query(queries.quantile(share, selector, "vantage"), f"{{{{vantage}}}} {name}") for share, name in
            ((0.5, "p50"), (0.99, "p99"))]  # fmt: skip
    return graph(about, *both, steps=LATENCY, colors=BY_VANTAGE, logarithmic=True)


def acked(selector: str, to: Sequence[DashboardLink]) -> Panel:
    """Build the panel of acknowledged operations a second."""
    about = About(
        title="Acknowledged operations a second",
        description=(
            "Operations acknowledged in each second, by vantage. Probers start operations at a fixed rate whatever "
            "comes back, so that a dip is what clients lost."
        ),
        unit="ops",
        links=to,
    )
    query = queries.acked_each_second(selector, f"{queries.WRITES}|{queries.READS}", "vantage")
    return graph(about, Query(query, "{{vantage}}"), colors=BY_VANTAGE)


def lag(selector: str, to: Sequence[DashboardLink]) -> Panel:
    """Build the panel of replication lag, as the operator reports it."""
    about = About(
        title="Replication lag",
        description="How many bytes each replica is behind its primary, as the cluster's status says.",
        unit="bytes",
        links=to,
    )
    expr = f"max by (member) (caplab_member_replication_lag_bytes{{{selector}}})"
    return graph(about, Query(expr, MEMBER), colors=BY_MEMBER)


def epoch(selector: str, to: Sequence[DashboardLink]) -> Panel:
    """Build the panel of changes of the cluster's epoch."""
    about = About(
        title="Changes of the primary's term",
        description=(
            "How often the term changed in the last seconds (Postgres: the timeline; Redis: the replication id). Each "
            "failover is a short peak; otherwise it is 0. Cassandra has no terms."
        ),
        unit="none",
        links=to,
        decimals=0,
    )
    expr = f"max by (cluster) (changes(caplab_cluster_epoch{{{selector}}}[$__rate_interval]))"
    return graph(about, Query(expr, "{{cluster}}"), stepped=True, colors={".*": palette.PRIMARY})


def clients(to: Sequence[DashboardLink]) -> Section:
    """Build the section about clients of the chosen cluster."""
    selector = f"{queries.CLUSTER},{queries.LOAD}"
    return section(
        "What clients see",
        line(7, (12, writes(selector, to)), (12, reads(selector, to))),
        line(7, (12, since_last_ack(selector, "write", to)), (12, latency(selector, to))),
    )


def gauge(name: str) -> Query:
    """Return a gauge of the engine's exporter, on each member of the chosen cluster."""
    return Query(f"max by (member) ({name}{{{queries.CLUSTER}}})", MEMBER)


def rate(name: str) -> Query:
    """Return the rate a second of a counter of the engine's exporter, on each member of the chosen cluster."""
    return Query(f"sum by (member) (rate({name}{{{queries.CLUSTER}}}[$__rate_interval]))", MEMBER)


def of_exporter(
    title: str,
    description: str,
    unit: str,
    to: Sequence[DashboardLink],
    *exprs: Query,
    steps: Steps = ((None, palette.NONE),),
    stepped: bool = False,
) -> Panel:
    """Build a panel of a figure of each member over time, from the engine's own exporter."""
    about = About(title=title, description=description, unit=unit, links=to)
    return graph(about, *exprs, steps=steps, stepped=stepped, colors=BY_MEMBER)


def scraped(metric: str, engine: str, to: Sequence[DashboardLink]) -> Panel:
    """Build the panel of whether each member answers its exporter."""
    about = About(
        title="Members that answer their exporter",
        description=f"Whether {engine} answers the exporter that asks each member; red where it does not.",
        unit="none",
        links=to,
    )
    answers = f"min by (member) ({metric}{{{queries.CLUSTER}}})"
    # If the exporter reports nothing at all, Prometheus still knows that it was scraped.
    asked = f'min by (member) (up{{{queries.CLUSTER},member!=""}}) * 0'
    return timeline(about, palette.SCRAPES, Query(f"{answers} or {asked}", MEMBER))


def to_run_and_overview() -> list[DashboardLink]:
    """Return the links of panels about one engine."""
    return [links.to(links.RUN), links.to(links.OVERVIEW, "")]
