"""The PromQL that dashboards share, as strings.

Prometheus scrapes the lab every second. A panel that must show a short outage takes the last two samples of a
counter (irate over RECENT), so that a second without an acknowledgement is a second of zero; a rate over a longer
window would smear it. If a step is longer than a second, the worst second of the step is shown.
"""

from __future__ import annotations

from . import palette

RECENT = "3s"  # the last two samples, also where one scrape is missing
WRITES = "write|add|incr|cas|id"
READS = "read"
CLUSTER = 'cluster_namespace="$cluster_namespace",cluster="$cluster"'
VANTAGE = 'vantage=~"$vantage"'
LOAD = f'{VANTAGE},workload!="clock"'  # the beats of the clock are no load
RUN = 'experiment="$experiment",engine="$engine",mode="$mode",fault="$fault"'
# A run's figures are exported for the run as a whole, for the subsets of its clients that a row judges (a side of a
# cut, a route), and for each vantage and route.
WHOLE = 'vantage="all",route="all"'
PARTS = 'vantage=~"all|majority|minority"'
EACH = 'vantage!~"all|majority|minority"'
NOT_ANY = ',route!="any"'  # members refuse writes by that route by design
BY_RUN = "experiment, engine, mode, fault"


def worst(expression: str) -> str:
    """Return the minimum over the seconds of a step: an outage shows however long the time range is."""
    return f"min_over_time(({expression})[$__interval:1s])"


def since_ack(selector: str, access: str) -> str:
    """Return the series of the time since a write or a read ("write", "read") was last acknowledged."""
    return f'caplab_seconds_since_last_ack{{{selector},access="{access}"{NOT_ANY if access == "write" else ""}}}'


def outcomes(selector: str, ops: str, by: str = "vantage, route", stale: bool = False) -> str:
    """Return the outcome of the operations in each second, as a value of palette.OUTCOMES.

    Nothing is shown while no probe starts operations, or if the prober was not scraped. Writes by the route any are
    left out: members refuse them by design.
    """
    routes = NOT_ANY if ops == WRITES else ""

    def each_second(outcome: str) -> str:
        return f'sum by ({by}) (irate(caplab_operations_total{{{selector},op=~"{ops}"{routes}{outcome}}}[{RECENT}]))'

    acked, others = each_second(',outcome="ok"'), each_second(',outcome!="ok"')
    unknown, every = each_second(',outcome="info"'), each_second("")
    branches = [
        f"({acked} > 0 unless {others} > 0) * 0 + {palette.ALL_ACKED}",
        f"({acked} > 0 and {unknown} > 0) * 0 + {palette.SOME_UNKNOWN}",
        f"({acked} > 0) * 0 + {palette.SOME_FAILED}",
        f"{every} * 0 + {palette.NO_ACK}",
    ]
    if stale:
        missed = f"sum by ({by}) (irate(caplab_stale_reads_total{{{selector}}}[{RECENT}]))"
        branches.insert(0, f"({acked} > 0 and {missed} > 0) * 0 + {palette.SOME_STALE}")
    place = by.removesuffix(", route")
    running = f"max by ({place}) (caplab_probe_running{{{selector}}}) == 1"
    return worst(f"({' or '.join(branches)}) and on ({place}) ({running})")


def acked_each_second(selector: str, ops: str, by: str) -> str:
    """Return acknowledged operations a second."""
    return f'sum by ({by}) (irate(caplab_operations_total{{{selector},op=~"{ops}",outcome="ok"}}[{RECENT}]))'


def quantile(share: float, selector: str, by: str) -> str:
    """Return a quantile of the latency of acknowledged operations, from their scheduled start."""
    rate = f"rate(caplab_operation_latency_seconds_bucket{{{selector}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by (le, {by}) ({rate}))"


def roles(selector: str) -> str:
    """Return each member's role, as a value of palette.ROLES; members of an engine without primaries are up or down."""
    up = f"max by (member, zone) (caplab_member_up{{{selector}}})"
    primary = f"max by (member, zone) (caplab_member_primary{{{selector}}})"
    return f"({up} + 2 * {primary}) or {up}"


def verdict(selector: str) -> str:
    """Return a run's verdict, as a value of palette.VERDICTS."""

    def as_value(name: str, value: int) -> str:
        return f'(max by ({BY_RUN}) (caplab_run_verdict{{{selector}verdict="{name}"}}) == 1) * 0 + {value}'

    states = (("invalid", palette.INVALID), ("unknown", palette.UNDECIDED), ("valid", palette.VALID))
    return " or ".join(as_value(name, value) for name, value in states)


def of_runs(name: str, selector: str = "", which: str = WHOLE) -> str:
    """Return a figure of the last run of each row."""
    return f"max by ({BY_RUN}) (caplab_run_{name}{{{_and(selector, which)}}})"


def bound_of(name: str) -> str:
    """Return the name of a figure's bound: units come last."""
    return f"{name.removesuffix('_seconds')}_bound_seconds" if name.endswith("_seconds") else f"{name}_bound"


def judged(name: str, selector: str = "") -> str:
    """Return a figure as it is judged: for the subset of clients that has a bound, or else for all."""
    part, bound = (f"caplab_run_{metric}{{{_and(selector, PARTS)}}}" for metric in (name, bound_of(name)))
    return f"max by ({BY_RUN}) ({part} and on ({BY_RUN}, vantage, route) {bound}) or {of_runs(name, selector)}"


def bound(name: str, selector: str = "") -> str:
    """Return the bound that goes with the figure as it is judged."""
    return of_runs(bound_of(name), selector, PARTS)


def _and(*selectors: str) -> str:
    return ",".join(filter(None, selectors))
