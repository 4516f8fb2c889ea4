"""Run: one run, second by second."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.dashboard import Panel

from .. import links, palette, queries, variables
from ..board import board
from ..grid import Section, line, section
from ..panels import NEUTRAL, About, Column, Query, Steps, bars, figure, graph, rows
from ..queries import CLUSTER, EACH, LOAD, RUN
from . import shared

_SELECTED = f"{CLUSTER},{LOAD}"
_BY_ROUTE = "vantage, route"
_BOUND: Steps = ((None, palette.BOUND),)
_LOST: Steps = ((None, palette.OK), (1, palette.PARTLY))
_STALE: Steps = ((None, palette.OK), (1, palette.STALE))
_TO = (links.to(links.OVERVIEW, ""), *map(links.to, links.OF_ENGINES.values()))


def dashboard_() -> dashboard.Dashboard:
    """Build the whole dashboard."""
    return board(
        links.RUN,
        "One run, second by second: what each vantage saw, who was primary, which faults were live, what was found.",
        [_result(), _seconds(), _by_route(), _operations()],
        [*shared.cluster_variables("caplab_cluster_ready"), *variables.run()],
        CLUSTER,
    )


def _result() -> Section:
    return section(
        "What the last run of this row found",
        line(
            3,
            (4, _verdict()),
            (4, _failover()),
            (4, _failover_bound()),
            (4, _count("acked_lost_writes", "Acked writes lost", "Acknowledged writes that are gone.", _LOST)),
            (4, _count("stale_reads", "Stale reads", "Reads that missed an acknowledged write.", _STALE)),
            (4, _of_run("ack_ratio", "Acked", "Operations acknowledged, of all that were due.", "percentunit")),
        ),
        line(
            3,
            (4, _when("started", "Began", "When the last run of this row began.")),
            (4, _when("ended", "Ended", "When the run was judged. The link that caplab run prints shows all of it.")),
            (4, _of_run("attempted_writes", "Writes attempted", "Writes that probers began.", "none")),
            (4, _of_run("acked_writes", "Writes acked", "Writes that were acknowledged to clients.", "none")),
            (4, _of_run("survived_writes", "Writes survived", "Acked writes that the final scan found.", "none")),
            (
                4,
                _of_run(
                    "unacked_found_writes",
                    "Unacked writes found",
                    "Writes that were not acknowledged, and took effect.",
                    "none",
                ),
            ),
        ),
    )


def _of_run(name: str, title: str, description: str, unit: str, steps: Steps = NEUTRAL) -> Panel:
    decimals = {"s": 1, "percentunit": 1}.get(unit, 0)
    about = About(title=title, description=description, unit=unit, links=[links.to(links.OVERVIEW, "")],
                  decimals=decimals)  # fmt: skip
    return figure(about, Query(queries.of_runs(name, RUN)), steps=steps)


def _count(name: str, title: str, description: str, steps: Steps) -> Panel:
    """Build a figure beside the bound that it is judged by."""
    beside = "Beside it: the most that the row allows; blank: no limit."
    about = About(title=title, description=f"{description} {beside}",
                  unit="none", links=[links.to(links.OVERVIEW, "")], decimals=0)  # fmt: skip
    measured, most = Query(queries.judged(name, RUN), "seen"), Query(queries.bound(name, RUN), "at most")
    return figure(about, measured, most, steps=steps)


def _failover() -> Panel:
    about = About(
        title="Failover",
        description=(
            "From the injection to the end of the last outage that began before heal. Where the row judges only some "
            "of the clients (one side of a cut, one route), it is theirs."
        ),
        unit="s",
        links=[links.to(links.OVERVIEW, "")],
        decimals=1,
    )
    return figure(about, Query(queries.judged("failover_seconds", RUN)))


def _failover_bound() -> Panel:
    about = About(
        title="Failover: at most",
        description="The longest that the row allows under its settings; blank: no limit.",
        unit="s",
        links=[links.to(links.OVERVIEW, "")],
        decimals=1,
    )
    return figure(about, Query(queries.bound("failover_seconds", RUN)), steps=_BOUND)


def _when(name: str, title: str, description: str) -> Panel:
    about = About(title=title, description=description, unit="dateTimeAsIsoNoDateIfToday",
                  links=[links.to(links.OVERVIEW, "")])  # fmt: skip
    return figure(about, Query(f"1000 * {queries.of_runs(f'{name}_timestamp_seconds', RUN, '')}"))


def _verdict() -> Panel:
    about = About(
        title="Verdict",
        description="Whether what was measured is what was promised; unknown if the run proves nothing.",
        unit="none",
        links=[links.to(links.OVERVIEW, "")],
    )
    return figure(about, Query(queries.verdict(f"{RUN},")), states=palette.VERDICTS)


def _seconds() -> Section:
    return section(
        "Second by second",
        line(7, (24, shared.writes(_SELECTED, _TO))),
        line(7, (24, shared.reads(_SELECTED, _TO))),
        line(5, (24, shared.members(CLUSTER, _TO))),
        line(7, (16, shared.since_last_ack(_SELECTED, "write", _TO)), (8, _longest("write"))),
    )


def _longest(access: str) -> Panel:
    about = About(
        title=f"Longest outage of {access}s in this time range",
        description=(
            f"The longest time without an acknowledged {access}, by vantage and route, to a second: the run's own "
            "figures come from its history, to a millisecond."
        ),
        unit="s",
        links=_TO,
        decimals=1,
    )
    age = queries.since_ack(_SELECTED, access)
    query = Query(f"max by ({_BY_ROUTE}) (max_over_time({age}[$__range]))", shared.ROUTED)
    return bars(about, query, steps=((None, palette.OK), (1, palette.UNKNOWN), (5, palette.FAILED)))


def _by_route() -> Section:
    about = About(
        title="What the last run found, by vantage and route",
        description="Each figure of the run as clients of one vantage on one route saw it; blank: it was not measured.",
        unit="none",
        links=_TO,
    )

    def column(name: str, title: str, unit: str, steps: Steps = NEUTRAL, decimals: float = 0) -> Column:
        expr = f"max by ({_BY_ROUTE}) (caplab_run_{name}{{{RUN},{EACH}}})"
        return Column(name=title, expr=expr, unit=unit, steps=steps, decimals=decimals, width=130)

    table = rows(
        about,
        Column(name="vantage", label="vantage", width=100),
        Column(name="route", label="route", width=110),
        column("failover_seconds", "failover", "s", decimals=1),
        column("attempted_writes", "attempted", "none"),
        column("acked_writes", "acked", "none"),
        column("survived_writes", "survived", "none"),
        column("acked_lost_writes", "lost", "none", _LOST),
        column("unacked_found_writes", "unacked found", "none"),
        column("ack_ratio", "ack ratio", "percentunit", decimals=1),
    )
    return section("By vantage and route", line(8, (24, table)))


def _operations() -> Section:
    return section(
        "Operations",
        line(8, (12, shared.latency_heat(_SELECTED, _TO)), (12, shared.latency(_SELECTED, _TO))),
        line(7, (12, shared.acked(_SELECTED, _TO)), (12, _unacked())),
        line(7, (12, _stale()), (12, _staleness())),
        line(6, (12, shared.lag(CLUSTER, _TO)), (12, shared.epoch(CLUSTER, _TO))),
    )


def _unacked() -> Panel:
    about = About(
        title="Operations a second that were not acknowledged",
        description="Those that surely took no effect (failed), and those that may have (unknown).",
        unit="ops",
        links=_TO,
    )

    def each_second(outcome: str) -> str:
        return f'sum by () (irate(caplab_operations_total{{{_SELECTED},outcome="{outcome}"}}[{queries.RECENT}]))'

    failed, unknown = Query(each_second("fail"), "failed"), Query(each_second("info"), "unknown")
    return graph(about, failed, unknown, colors={"failed": palette.FAILED, "unknown": palette.UNKNOWN})


def _stale() -> Panel:
    about = About(
        title="Stale reads a second",
        description=(
            "Reads that missed a write which their own prober had seen acknowledged before they began: a lower bound. "
            "The run's end judges over all vantages."
        ),
        unit="rps",
        links=_TO,
    )
    expr = f"sum by ({_BY_ROUTE}) (irate(caplab_stale_reads_total{{{_SELECTED}}}[{queries.RECENT}]))"
    return graph(about, Query(expr, shared.ROUTED), colors={".*": palette.STALE})


def _staleness() -> Panel:
    about = About(
        title="How old stale reads were",
        description="99th percentile of the age of the oldest acknowledged write that a stale read missed.",
        unit="s",
        links=_TO,
    )
    rate = f"rate(caplab_read_staleness_seconds_bucket{{{_SELECTED}}}[$__rate_interval])"
    expr = f"histogram_quantile(0.99, sum by (le, {_BY_ROUTE}) ({rate}))"
    return graph(about, Query(expr, shared.ROUTED), colors={".*": palette.STALE})
