"""Overview: the lab at a glance."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.dashboard import Panel

from .. import links, palette, queries, variables
from ..board import board
from ..grid import Section, line, section
from ..panels import GOOD_IF_ZERO, NEUTRAL, About, Column, Query, Steps, figure, graph, rows, timeline
from .shared import BY_VANTAGE

_SOME = 'cluster_namespace=~"$cluster_namespace",cluster=~"$cluster"'
_NAMED = "{{cluster_namespace}}/{{cluster}}"
_LATE: Steps = ((None, palette.OK), (5, palette.UNKNOWN), (15, palette.FAILED))


def dashboard_() -> dashboard.Dashboard:
    """Build the whole dashboard."""
    chosen = [*variables.clusters("caplab_cluster_ready", multi=True), variables.vantage(_SOME)]
    return board(
        links.OVERVIEW,
        "The lab at a glance: clusters, faults, and the last run of each row of the CAP table.",
        [_now(), _last_runs(), _lab_health()],
        chosen,
        _SOME,
    )


def _now() -> Section:
    return section(
        "The lab now",
        line(
            3,
            (
                4,
                _count(
                    "Clusters", "Clusters under test that the operator runs.", f"caplab_cluster_ready{{{_SOME}}} >= 0"
                ),
            ),
            (
                4,
                _count(
                    "Not ready",
                    "Clusters that do not match their spec.",
                    f"caplab_cluster_ready{{{_SOME}}} == 0",
                    GOOD_IF_ZERO,
                ),
            ),
            (
                4,
                _count(
                    "Live faults",
                    "Kinds of fault that are live now, each counted once per cluster. Lost nodes are not included.",
                    f"caplab_fault_active{{{_SOME}}} == 1",
                    ((None, palette.NONE), (1, palette.FAULT)),
                ),
            ),
            (
                4,
                _count(
                    "Faults overdue",
                    "Kinds of fault that are live past their duration, each counted once per cluster. An alert "
                    "fires 10 s past it.",
                    f"caplab_fault_overdue_seconds{{{_SOME}}} > 0",
                    GOOD_IF_ZERO,
                ),
            ),
            (
                4,
                _count(
                    "Last runs invalid",
                    "Rows of the CAP table whose last run showed what was not promised.",
                    'caplab_run_verdict{verdict="invalid"} == 1',
                    GOOD_IF_ZERO,
                ),
            ),
            (
                4,
                _count(
                    "Failed scrapes",
                    "Targets of all jobs that do not answer Prometheus: the lab's own parts, and members that a fault "
                    "has silenced.",
                    'up{job=~"caplab-.+"} == 0',
                    GOOD_IF_ZERO,
                ),
            ),
        ),
        line(7, (12, _ready()), (12, _faults())),
        line(8, (24, _writes())),
    )


def _count(title: str, description: str, of: str, steps: Steps = NEUTRAL) -> Panel:
    about = About(title=title, description=description, unit="none", links=[links.to(links.RUN, "")], decimals=0)
    return figure(about, Query(f"count by () ({of}) or vector(0)"), steps=steps)


def _ready() -> Panel:
    about = About(
        title="Clusters, ready or not",
        description="Whether each cluster matches its spec. A row links to its cluster's dashboard.",
        unit="none",
        links=[links.to(links.RUN, "")],
        series=[links.of_field(links.RUN, "cluster_namespace", "cluster")],
    )
    expr = f"min by (engine, cluster_namespace, cluster) (caplab_cluster_ready{{{_SOME}}})"
    return timeline(about, palette.READINESS, Query(expr, "{{engine}} " + _NAMED))


def _faults() -> Panel:
    about = About(
        title="Faults",
        description="Faults while they are live, by kind and by the cluster they hit.",
        unit="none",
        links=[links.to(links.RUN, "")],
    )
    expr = f"max by (kind, cluster_namespace, cluster) (caplab_fault_active{{{_SOME}}})"
    return timeline(about, palette.FAULTS, Query(expr, "{{kind}} of " + _NAMED))


def _writes() -> Panel:
    about = About(
        title="Writes of every cluster, second by second",
        description=(
            "Outcomes of the writes that ended in each second, by cluster and vantage, on all routes together. Red: "
            "none was acknowledged. Blank: no probe ran."
        ),
        unit="none",
        links=[links.to(links.RUN, "")],
        series=[links.of_field(links.RUN, "cluster_namespace", "cluster")],
    )
    by = "cluster_namespace, cluster, vantage"
    expr = queries.outcomes(f"{_SOME},{queries.LOAD}", queries.WRITES, by)
    return timeline(about, palette.OUTCOMES, Query(expr, _NAMED + " from {{vantage}}"))


def _last_runs() -> Section:
    return section("Last runs", line(10, (24, _cap_table())))


def _cap_table() -> Panel:
    about = About(
        title="CAP table: what was measured, beside what was promised",
        description=(
            "The last run of each experiment, mode and fault: its verdict, and each figure beside its bound. Where a "
            "row judges some of the clients (a side of a cut, a route), both are theirs. Without a bound "
            "anything is allowed, or the anomaly must show. A namespace keeps its last 30 runs: older ones have no "
            "row here. The experiment links to the run."
        ),
        unit="none",
        links=[links.to(links.RUN, "")],
    )
    ended = queries.of_runs("ended_timestamp_seconds", which="")
    here = [links.of_row(links.RUN, "experiment", "engine", "mode", "fault")]

    def figure_of(title: str, expr: str, width: int, unit: str = "none", steps: Steps = NEUTRAL) -> Column:
        decimals = 1 if unit in ("s", "percentunit") else 0
        return Column(name=title, expr=expr, unit=unit, steps=steps, width=width, decimals=decimals)

    bound: Steps = ((None, palette.BOUND),)
    lost: Steps = ((None, palette.OK), (1, palette.PARTLY))
    stale: Steps = ((None, palette.OK), (1, palette.STALE))
    return rows(
        about,
        Column(name="experiment", label="experiment", width=170, links=here),
        Column(name="engine", label="engine", width=80),
        Column(name="mode", label="mode", width=110),
        Column(name="fault", label="fault", width=120),
        Column(name="verdict", expr=queries.verdict(""), states=palette.VERDICTS, width=72),
        figure_of("failover", queries.judged("failover_seconds"), 76, "s"),
        figure_of("at most", queries.bound("failover_seconds"), 76, "s", bound),
        figure_of("lost", queries.judged("acked_lost_writes"), 64, steps=lost),
        figure_of("lost: at most", queries.bound("acked_lost_writes"), 92, steps=bound),
        figure_of("stale", queries.judged("stale_reads"), 66, steps=stale),
        figure_of("stale: at most", queries.bound("stale_reads"), 96, steps=bound),
        figure_of("acked", queries.of_runs("ack_ratio"), 72, "percentunit"),
        figure_of("ended", f"1000 * {ended}", 156, "dateTimeAsIsoNoDateIfToday"),
    )


def _lab_health() -> Section:
    return section(
        "The lab itself",
        line(6, (12, _alerts()), (12, _scrapes())),
        line(7, (12, _stalls()), (12, _rounds())),
    )


def _alerts() -> Panel:
    about = About(
        title="Firing alerts",
        description=(
            "Which alerts fire, and since when; normally none does. A run that kills a primary makes one fire until "
            "writes are acknowledged again. What to do: docs/alerts.md."
        ),
        unit="none",
        links=[links.to(links.RUN, "")],
    )
    firing = 'max by (alertname) (ALERTS{alertname=~"Caplab.+",alertstate="firing"})'
    return timeline(about, palette.ALERTS, Query(firing, "{{alertname}}"))


def _scrapes() -> Panel:
    about = About(
        title="Targets that answer Prometheus",
        description=(
            "Whether all targets of each job answer: red as soon as one does not, even a member that a fault has "
            "silenced. If a prober does not answer, its rows in other panels are blank."
        ),
        unit="none",
        links=[links.to(links.RUN, "")],
    )
    return timeline(about, palette.SCRAPES, Query('min by (job) (up{job=~"caplab-.+"})', "{{job}}"))


def _stalls() -> Panel:
    about = About(
        title="Stalled probers",
        description=(
            "The share of time that a prober spent in event-loop stalls of half a second or more: operations were "
            "late, through no fault of the database. A run that broke a bound on time meanwhile is judged unknown, "
            "not invalid."
        ),
        unit="percentunit",
        links=[links.to(links.RUN, "")],
    )
    expr = f"sum by (vantage) (rate(caplab_prober_stall_seconds_total{{{queries.VANTAGE}}}[$__rate_interval]))"
    return graph(about, Query(expr, "{{vantage}}"), colors=BY_VANTAGE)


def _rounds() -> Panel:
    about = About(
        title="Operator and agents: oldest round",
        description=(
            "Seconds since the operator's slowest loop last ended a round (about 1 s is normal), and since each agent "
            "last got news of faults (up to a minute is normal if nothing changes). Alerts fire at 30 s and at 90 s; "
            "the lines at 5 s and 15 s are the operator's."
        ),
        unit="s",
        links=[links.to(links.RUN, "")],
        decimals=1,
    )
    return graph(
        about,
        Query("max by () (caplab_operator_oldest_round_seconds)", "operator"),
        Query("max by (node) (caplab_agent_oldest_poll_seconds)", "agent {{node}}"),
        steps=_LATE,
        colors={"operator": palette.PRIMARY, "agent": palette.REPLICA},
    )
