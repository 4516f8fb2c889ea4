"""The dashboards' queries, asked of a real Prometheus that knows a synthetic lab."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import prove_dashboards
import pytest
from caplab_cluster.paths import DASHBOARDS
from caplab_cluster.prometheus_links import links
from caplab_dashboards import files, palette
from caplab_probes import clock
from caplab_probes.exporter import Exporter, LoadFigures, registry_of
from caplab_probes.history.writer import Row
from dashboard_queries import Findings, Prometheus, Window, run, substitute, table, unexplained
from prometheus_client import generate_latest
from support.metrics.local_prometheus import backfill, exporter, needs_prometheus, prometheus
from support.metrics.synthetic_metrics import CLUSTERS, ROUTES, Outage, exposition, lab, targets

pytestmark = needs_prometheus
SECONDS = 150
SECOND_NS = 1_000_000_000
# Two seconds, wherever they begin between two scrapes, and longer ones.
OUTAGES = [Outage(10 + 10.1 * turn, 12 + 10.1 * turn) for turn in range(10)] + [Outage(115, 120), Outage(125.5, 140.5)]
BOARDS = files.read()
PG = {"cluster_namespace": "demo", "cluster": "pg", "vantage": ".*"}
ALL_OF_A_CLUSTER = 6  # three vantages, two routes


def query(board: str, title: str) -> str:
    panel = next(panel for panel in BOARDS[board]["panels"] if panel.get("title", "").startswith(title))
    return str(panel["targets"][0]["expr"])


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Window]]:
    """A Prometheus whose samples are of the last hours, and the time range that they span."""
    folder = tmp_path_factory.mktemp("prometheus")
    began = math.floor(time.time()) - 7200
    of_targets = list(targets())
    scrapes = [(began + now, exposition([*lab(now, OUTAGES), *of_targets], began + now)) for now in range(SECONDS)]
    backfill(folder, scrapes)
    with prometheus(folder) as address:
        yield Prometheus(address), Window(began + 4, began + SECONDS - 1)


def states(prom: Prometheus, window: Window, title: str) -> list[dict[int, int]]:
    """The states of each row of a timeline of Postgres, by seconds since the start."""
    filled = substitute(query("run", title), {**PG, **window.built_in})
    rows = prom.series(filled, window, instant=False)
    return [{int(at - window.start + 4): int(value) for at, value in _values(row)} for row in rows]


def _values(row: Any) -> list[tuple[float, float]]:
    return [(float(at), float(value)) for at, value in row["values"]]


@pytest.mark.parametrize("title", ["Writes, second by second", "Reads, second by second"])
def test_an_outage_is_as_wide_as_it_was_to_a_second(asked: tuple[Prometheus, Window], title: str) -> None:
    rows = states(*asked, title)
    assert len(rows) == ALL_OF_A_CLUSTER
    for row in rows:
        for outage in OUTAGES:
            near = range(int(outage.begins) - 2, int(outage.ends) + 5)
            red = [now for now in near if row.get(now) == palette.NO_ACK]
            assert abs(len(red) - (outage.ends - outage.begins)) <= 1, (outage, red)
            assert all(outage.begins - 1 <= now <= outage.ends + 2 for now in red)


def test_before_after_and_between_outages_all_is_green_but_for_what_timed_out(asked: tuple[Prometheus, Window]) -> None:
    for row in states(*asked, "Writes, second by second"):
        far = [now for now in row if not any(o.begins - 1 < now <= o.ends + 4 for o in OUTAGES)]
        assert len(far) > 40
        assert {row[now] for now in far} == {palette.ALL_ACKED}


def test_an_outage_of_two_seconds_shows_in_a_time_range_of_hours(asked: tuple[Prometheus, Window]) -> None:
    prom, window = asked
    hours = Window(window.end - 6 * 3600, window.end)
    assert hours.step == 10
    filled = substitute(query("run", "Writes, second"), {**PG, **hours.built_in})
    for row in prom.series(filled, hours, instant=False):
        red = [at for at, value in _values(row) if value == palette.NO_ACK]
        assert len(red) >= len(OUTAGES)


def test_the_longest_outage_is_told_to_a_second(asked: tuple[Prometheus, Window]) -> None:
    prom, window = asked
    until = Window(window.start, window.start + 100)  # those of two seconds
    filled = substitute(query("run", "Longest outage"), {**PG, **until.built_in})
    longest = [float(row["value"][1]) for row in prom.series(filled, until, instant=True)]
    assert len(longest) == ALL_OF_A_CLUSTER
    assert all(1 <= seconds <= 2 for seconds in longest)


def test_a_member_that_is_down_shows_for_as_long(asked: tuple[Prometheus, Window]) -> None:
    rows = states(*asked, "Members: who is primary")
    down = [sum(value == palette.PRIMARY_DOWN for value in row.values()) for row in rows]
    assert sorted(down)[:2] == [0, 0]
    assert abs(max(down) - sum(outage.ends - outage.begins for outage in OUTAGES)) <= len(OUTAGES)


@pytest.mark.parametrize(("engine", "failover"), [("postgres", 2.0), ("redis", 1.5)])
def test_a_run_shows_the_figures_that_its_row_judges(
    asked: tuple[Prometheus, Window], engine: str, failover: float
) -> None:
    """Of Redis' run those of the majority, whose bound there is; of Postgres' all."""
    prom, window = asked
    mode = {"postgres": "quorum", "redis": "everysec"}[engine]
    row = {"experiment": f"{engine}/kill-primary", "engine": engine, "mode": mode, "fault": "kill-primary"}

    def shown(title: str, number: int = 0) -> list[float]:
        panel = next(panel_ for panel_ in BOARDS["run"]["panels"] if panel_["title"] == title)
        filled = substitute(panel["targets"][number]["expr"], {**row, **window.built_in})
        return [float(series["value"][1]) for series in prom.series(filled, window, instant=True)]

    assert shown("Failover") == [failover]
    assert shown("Failover: at most") == [24.0]
    assert shown("Acked writes lost") == shown("Acked writes lost", 1) == [0.0]
    assert shown("Writes attempted") == [1000.0]


@pytest.fixture(scope="module")
def findings(asked: tuple[Prometheus, Window]) -> Findings:
    return run(list(BOARDS.values()), *asked)


def test_every_query_and_variable_returns_data_or_says_why_not(findings: Findings) -> None:
    assert unexplained(findings) == []
    assert len(findings.queries) > 300
    assert all(variable.values for variable in findings.variables)
    assert any("Cassandra has no terms" in line for line in table(findings))


def test_each_variable_takes_all_values_that_there_are(findings: Findings) -> None:
    of_run = {variable.name: set(variable.values) for variable in findings.variables if "Run" in variable.dashboard}
    assert of_run["cluster"] == {cluster.name for cluster in CLUSTERS}
    assert of_run["vantage"] == {"a", "b", "c"}
    fillings = {query.filling.get("vantage") for query in findings.queries}
    assert {"a", "b", "c", ".*"} <= fillings


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("sum by (", "refused: 400"),
        ("sum by () (caplab_no_such_metric)", "for no known reason"),
        ('max by (cluster) (caplab_stale_reads_total{cluster="none"})', "no data with any of the"),
    ],
)
def test_a_query_that_fails_or_finds_nothing_is_caught(
    asked: tuple[Prometheus, Window], expression: str, reason: str
) -> None:
    board = copy.deepcopy(BOARDS["cache"])
    board["panels"] = [panel for panel in board["panels"] if panel["type"] == "state-timeline"][:1]
    board["panels"][0]["targets"][0]["expr"] = expression
    (problem,) = unexplained(run([board], *asked))
    assert reason in problem


class Prober:
    """The prober's own exporter, fed with 50 writes a second on each route; those in an outage time out 1 s later."""

    def __init__(self, figures: LoadFigures, outage: Outage) -> None:
        self._figures, self._outage = figures, outage
        self._began_ns = clock.now_ns()
        self._told: set[int] = set()

    def catch_up(self) -> None:
        """Observe what has ended by now."""
        now = (clock.now_ns() - self._began_ns) / SECOND_NS
        for number in range(int(now * 50)):
            due = number / 50
            acked = not self._outage.begins <= due < self._outage.ends
            if number not in self._told and due + (0.005 if acked else 1.0) <= now:
                self._told.add(number)
                for route in ROUTES:
                    self._figures.observe(self._row(route, due, acked))

    def _row(self, route: str, due: float, acked: bool) -> Row:
        scheduled = self._began_ns + round(due * SECOND_NS)
        returned = scheduled + SECOND_NS // 200 if acked else None
        outcome, error = ("ok", None) if acked else ("info", "timeout")
        return Row(
            "a", 1, "write", "k", 7, None, None, None, route, "m0", "1", scheduled, scheduled, returned, outcome, error
        )


@dataclass(frozen=True)
class Shown:
    """What panels show of an outage that was scraped as it happened; longest_gap is between two scrapes, in seconds."""

    began: float
    timeline: list[Any]
    longest: list[Any]
    longest_gap: float


def scraped(folder: Path, outage: Outage, lasts: float) -> Shown:
    folder.mkdir()
    export = Exporter("a")
    registry = registry_of(export)
    with export.load("postgres", "demo", "pg", "register") as figures, figures.runs(ROUTES):
        prober, began = Prober(figures, outage), time.time()

        def exposition() -> str:
            prober.catch_up()
            return generate_latest(registry).decode()

        with exporter(exposition) as port, prometheus(folder, {"caplab-prober": port}) as address:
            time.sleep(max(0.0, began + lasts - time.time()))  # what is tried here is time itself
            prom, window = Prometheus(address), Window(began, began + lasts)
            (up,) = prom.series("up[20s]", window, instant=True)
            scrapes = [at for at, _ in _values(up)]

            def ask(title: str, instant: bool) -> list[Any]:
                return prom.series(substitute(query("run", title), {**PG, **window.built_in}), window, instant)

            timeline, longest = ask("Writes, second", False), ask("Longest outage", True)
    return Shown(began, timeline, longest, max(b - a for a, b in pairwise(scrapes)))


def test_an_outage_of_two_seconds_is_as_wide_from_the_prober_s_own_exporter_to_the_panel(tmp_path: Path) -> None:
    outage = Outage(5.3, 7.3)
    for turn in range(3):  # on a machine so busy that Prometheus leaves out a scrape, once more
        shown = scraped(tmp_path / str(turn), outage, lasts=10.5)
        if shown.longest_gap < 1.2:
            break
    assert [row["metric"]["route"] for row in shown.timeline] == sorted(ROUTES)
    for row in shown.timeline:
        red = [at - shown.began for at, value in _values(row) if value == palette.NO_ACK]
        assert 1 <= len(red) <= 3, red
        assert outage.begins - 1 <= min(red) <= max(red) <= outage.ends + 2
    seconds = {row["metric"]["route"]: float(row["value"][1]) for row in shown.longest}
    assert seconds.keys() == set(ROUTES)
    assert all(1 <= longest <= 2.1 for longest in seconds.values())


def test_the_page_of_evidence_tells_what_was_asked_and_what_is_wrong(
    asked: tuple[Prometheus, Window], findings: Findings
) -> None:
    gaps = prove_dashboards.outages(*asked)
    assert [line for line in gaps if line.startswith("| postgres | a | service | 2.00 s | 14.50 s")]
    page = prove_dashboards.page("Made by a test.", findings, ["it is so"], gaps)
    assert f"{len(findings.queries)} queries" in page
    assert "- it is so" in page
    assert "| caplab / Run | vantage | a, b, c |" in page


def test_the_ready_made_links_to_prometheus_own_page_ask_for_something(asked: tuple[Prometheus, Window]) -> None:
    prom, window = asked
    for link in links(DASHBOARDS, prom.address):
        fields = parse_qs(urlsplit(link.url).query)
        for number in range(len(fields) // 4):
            assert prom.series(fields[f"g{number}.expr"][0], window, instant=False), link.title
