"""Every query and every variable of dashboards, sent to a real Prometheus as Grafana would send them."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from caplab_dashboards import expressions, linter
from caplab_dashboards.variables import ALL

Json = Mapping[str, Any]
Filling = Mapping[str, str]
_TIMEOUT_SECONDS = 20.0
_MAX_ANSWER_BYTES = 64 << 20
_MAX_POINTS = 3600  # the points that panels ask for: panels.POINTS
_LABEL_VALUES = re.compile(r"^label_values\((?P<series>.*), *(?P<label>\w+)\)$")


class QueryRefused(Exception):
    """Prometheus refused a query, or did not answer."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time range in seconds since 1970, as a dashboard shows it."""

    start: float
    end: float

    @property
    def step(self) -> int:
        """Seconds between two points, as Grafana takes them: one for each of its points, and a second at least."""
        least = (self.end - self.start) / _MAX_POINTS
        return next(step for step in (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 3600) if step >= least)

    @property
    def built_in(self) -> dict[str, str]:
        """The values of Grafana's own variables if Prometheus is scraped every second."""
        whole = f"{max(1, round(self.end - self.start))}s"
        rate = f"{max(self.step + 1, 4)}s"
        return {"__interval": f"{self.step}s", "__rate_interval": rate, "__range": whole}


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Its HTTP API."""

    address: str

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer. Raises QueryRefused, which says why there is none."""
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
                body = answer.read(_MAX_ANSWER_BYTES)
        except urllib.error.HTTPError as error:
            raise QueryRefused(f"{error.code}: {error.read(2000).decode(errors='replace')}") from error
        except OSError as error:
            raise QueryRefused(f"Prometheus at {self.address} does not answer: {error}") from error
        return json.loads(body)["data"]

    def values(self, label: str, series: str, window: Window) -> list[str]:
        """Return the values of a label of some series."""
        times = {"start": f"{window.start:.3f}", "end": f"{window.end:.3f}"}
        return sorted(self.ask(f"label/{label}/values", **{"match[]": series}, **times))

    def engines(self, namespace: str, cluster: str, window: Window) -> frozenset[str]:
        """Return the engines of the clusters with some names (patterns) in the window; none: there was no cluster."""
        named = f'caplab_cluster_ready{{cluster_namespace=~"{namespace}", cluster=~"{cluster}"}}'
        there = self.series(f"last_over_time({named}[{window.built_in['__range']}])", window, instant=True)
        return frozenset(series["metric"]["engine"] for series in there)

    def is_loaded(self, namespace: str, cluster: str, window: Window) -> bool:
        """Return whether a probe began an operation on one of those clusters in the window."""
        named = f'caplab_operations_total{{cluster_namespace=~"{namespace}", cluster=~"{cluster}"}}'
        return bool(self.series(f"last_over_time({named}[{window.built_in['__range']}])", window, instant=True))

    def series(self, query: str, window: Window, instant: bool) -> list[Any]:
        """Return what a query returns over the window, or (instant) at its end."""
        if instant:
            return list(self.ask("query", query=query, time=f"{window.end:.3f}")["result"])
        start = window.start - window.start % window.step  # Grafana aligns ranges with steps
        times = {"start": f"{start:.3f}", "end": f"{window.end:.3f}", "step": str(window.step)}
        return list(self.ask("query_range", query=query, **times)["result"])


@dataclass(frozen=True, slots=True)
class Variable:
    """The values of a variable; filling is that of the variables before it."""

    dashboard: str
    name: str
    filling: Filling
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """One query with one filling, and how many series came back.

    engines are those of the clusters it asks about; is_loaded is whether there was a load on one of them.
    """

    dashboard: str
    where: str
    query: str
    filling: Filling
    series: int = 0
    problem: str = ""
    engines: frozenset[str] | None = None  # None: it asks about no cluster
    is_loaded: bool = True


@dataclass(slots=True)
class Findings:
    """All variables and queries, with their results."""

    variables: list[Variable] = field(default_factory=list)
    queries: list[QueryResult] = field(default_factory=list)


def substitute(text: str, filling: Filling) -> str:
    """Replace variables in a text by their values; those without one become empty."""
    return expressions.VARIABLE.sub(lambda match: filling.get(match[1] or match[2], ""), text)


def run(boards: Sequence[Json], prometheus: Prometheus, window: Window) -> Findings:
    """Ask for every variable's values, then send every query with each of them."""
    findings = Findings()
    for board in boards:
        fillings = list(_fillings(board, prometheus, window, findings))
        for where, target in linter.targets_of(board):
            findings.queries += _each(board, where, target, fillings, prometheus, window)
    return findings


def _fillings(board: Json, prometheus: Prometheus, window: Window, findings: Findings) -> Iterator[Filling]:
    """Yield every combination of values, each variable's asked for with those of the variables before it."""
    variables = [variable for variable in board["templating"]["list"] if variable["type"] == "query"]
    fillings: list[dict[str, str]] = [{}]
    for variable in variables:
        match = _LABEL_VALUES.match(variable["query"]["query"])
        if not match:
            raise ValueError(f"{board['title']}: {variable['name']} is not of the form label_values(SERIES, LABEL).")
        longer = []
        values: dict[str, tuple[str, ...]] = {}
        for filling in fillings:
            series = substitute(match["series"], filling)
            if series not in values:
                values[series] = tuple(prometheus.values(match["label"], series, window))
                used = {name: filling[name] for name in expressions.read(match["series"]).variables & set(filling)}
                findings.variables.append(Variable(board["title"], variable["name"], used, values[series]))
            choices = (*values[series], ALL) if variable.get("multi") else values[series]
            longer += [{**filling, variable["name"]: value} for value in choices or ("",)]
        fillings = longer
    return iter(fillings)


def _each(
    board: Json, where: str, target: Json, fillings: Sequence[Filling], prometheus: Prometheus, window: Window
) -> Iterator[QueryResult]:
    names = expressions.read(target["expr"]).variables
    queries: set[str] = set()
    for filling in fillings:
        used = {name: value for name, value in filling.items() if name in names}
        query = substitute(target["expr"], {**used, **window.built_in})
        if query in queries:
            continue
        queries.add(query)
        result = QueryResult(dashboard=board["title"], where=where, query=query, filling=used)
        try:
            if count := len(prometheus.series(query, window, bool(target.get("instant")))):
                yield replace(result, series=count)
            else:
                yield _with_clusters(result, prometheus, window)
        except QueryRefused as refused:
            yield replace(result, problem=str(refused))


def _with_clusters(result: QueryResult, prometheus: Prometheus, window: Window) -> QueryResult:
    """Add what is known of the clusters that a query without a result asked about."""
    if not result.filling.get("cluster_namespace") and not result.filling.get("cluster"):
        return result
    named = (result.filling.get("cluster_namespace", ALL), result.filling.get("cluster", ALL))
    there = prometheus.engines(*named, window)
    return replace(result, engines=there, is_loaded=prometheus.is_loaded(*named, window))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a query may return nothing. everywhere: with each of its fillings; engine: only for clusters of that one."""

    of: str  # a pattern of the query as it was sent
    why: str
    everywhere: bool = False
    engine: str = ""


# Prometheus lists the values of labels by blocks of hours, and so names of former clusters too.
GONE = Reason("", "that cluster had been deleted before, though Prometheus still lists its name")
IDLE = Reason("", "no load ran on that cluster")
_OF_LOADS = re.compile(r"caplab_(operation|seconds_since_last_ack|probe_running|stale_reads_total|read_staleness)")
REASONS = (
    Reason(r'cluster(_namespace)?=~?""', "there was no such cluster in the time range", True),
    Reason(r'experiment=""', "no run ended in the time range", True),
    Reason(r'op=~"write\|', "nothing wrote to that cluster from there"),
    Reason(r'op=~"read"', "nothing read from that cluster from there"),
    Reason(r"ALERTS\{", "no alert fired", True),
    Reason(r"caplab_stale_reads_total|caplab_read_staleness", "no load there whose reads can be judged live"),
    Reason(r"caplab_member_replication_lag_bytes", "Cassandra has no replication lag", engine="cassandra"),
    Reason(r"caplab_cluster_epoch", "Cassandra has no terms", engine="cassandra"),
    Reason(
        r"^max by \(experiment, engine, mode, fault\) \(caplab_run_\w+_bound",
        "the row sets no bound: anything is allowed, or the anomaly must show",
        True,
    ),
    Reason(r"caplab_run_(failover|stale|survived|acked_lost|unacked)", "it was not measured in that run"),
)


def reason_of(result: QueryResult) -> Reason | None:
    """Return why a query returned nothing, if that is known."""
    if result.engines is not None and not result.engines:
        return GONE
    if not result.is_loaded and _OF_LOADS.search(result.query):
        return IDLE
    return next((reason for reason in REASONS if _holds(reason, result)), None)


def _holds(reason: Reason, result: QueryResult) -> bool:
    of_the_engine = not reason.engine or result.engines == frozenset({reason.engine})
    return of_the_engine and bool(re.search(reason.of, result.query))


def unexplained(findings: Findings) -> list[str]:
    """Return sentences on what was refused, and what returned nothing though it should have; [] if all is well."""
    wrong = [
        f"{result.dashboard}, {result.where}: refused: {result.problem}"
        for result in findings.queries
        if result.problem
    ]
    for (board, where), results in _by_query(findings).items():
        empty = [result for result in results if not result.series and not result.problem]
        unknown = [result for result in empty if reason_of(result) is None]
        if unknown:
            wrong.append(f"{board}, {where}: no data, for no known reason, with {dict(unknown[0].filling)}")
        elif len(empty) == len(results) and not all(
            (reason := reason_of(result)) and reason.everywhere for result in empty
        ):
            wrong.append(f"{board}, {where}: no data with any of the {len(results)} fillings")
    return wrong


def _by_query(findings: Findings) -> dict[tuple[str, str], list[QueryResult]]:
    queries: dict[tuple[str, str], list[QueryResult]] = {}
    for result in findings.queries:
        queries.setdefault((result.dashboard, result.where), []).append(result)
    return queries


def table(findings: Findings) -> list[str]:
    """Return lines of Markdown: variables and their values, then queries, and why some returned nothing."""
    lines = ["| dashboard | variable | values |", "|---|---|---|"]
    values: dict[tuple[str, str], set[str]] = {}
    for variable in findings.variables:
        values.setdefault((variable.dashboard, variable.name), set()).update(variable.values)
    for (board, name), choices in values.items():
        lines.append(f"| {board} | {name} | {', '.join(sorted(choices)) or 'none'} |")
    lines += [
        "",
        "| dashboard | panel and query | fillings | with data | reasons for no data |",
        "|---|---|---|---|---|",
    ]
    for (board, where), results in _by_query(findings).items():
        empty = [result for result in results if not result.series]
        whys = sorted({reason.why if (reason := reason_of(result)) else "unknown" for result in empty})
        lines.append(f"| {board} | {where} | {len(results)} | {len(results) - len(empty)} | {'; '.join(whys)} |")
    return lines
