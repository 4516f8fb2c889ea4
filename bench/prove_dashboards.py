"""Send every query of every dashboard to the lab's own Prometheus after real runs: docs/evidence/dashboards.md.

Each variable's values are filled in, as Grafana would. A query that returns nothing is listed with its reason; without
a reason it is a failure. The page also has the length of outages in a panel and by the run's own history. Takes about
seven minutes; the lab's cluster must be up (make up). With --minutes N no run is made: the queries are about the last
N minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from caplab_cluster.dashboards import PROMETHEUS, forward_command, forwarded
from caplab_cluster.paths import REPOSITORY, Cache
from caplab_cluster.progress import Progress
from caplab_cluster.setup_context import begin, built_tools
from caplab_dashboards import files, queries
from dashboard_queries import Findings, Prometheus, Window, run, table, unexplained
from evidence import made_by

EVIDENCE = REPOSITORY / "docs" / "evidence" / "dashboards.md"
RUNS = ("smoke", "cache/control")  # each engine, and a cache for its dashboard
_BEFORE_SECONDS, _AFTER_SECONDS = 5, 10
_MAX_RUN_SECONDS = 1800


@contextmanager
def prometheus() -> Iterator[Prometheus]:
    """Forward a port to the lab's Prometheus."""
    cache = Cache.from_environment()
    tools = built_tools(begin(Progress(cache.logs / "prove-dashboards"), cache))
    with forwarded(forward_command(tools, cache, PROMETHEUS)) as forward:
        yield Prometheus(f"http://127.0.0.1:{forward.port}")


def made() -> tuple[bool, Window]:
    """Make the runs; returns whether all are valid, and the time range they took."""
    started = time.time() - _BEFORE_SECONDS
    commands = [[sys.executable, "-m", "caplab", "run", name] for name in RUNS]
    codes = [
        subprocess.run(command, cwd=REPOSITORY, timeout=_MAX_RUN_SECONDS, check=False).returncode
        for command in commands
    ]
    time.sleep(_AFTER_SECONDS)  # until the figures of the last run are scraped
    return not any(codes), Window(started, time.time())


def outages(prom: Prometheus, window: Window) -> list[str]:
    """Return lines of Markdown: each run's failover by its history, and the longest gap in acks that Prometheus saw."""
    of_engines = f"{queries.EACH}, experiment!~'cache.*'"
    by_history = _figures(prom, f"caplab_run_failover_seconds{{{of_engines}}}", window, "engine")
    age = f"max_over_time(caplab_seconds_since_last_ack{{cluster!='cache'}}[{window.built_in['__range']}])"
    by_prometheus = _figures(prom, f"max by (engine, vantage, route) ({age})", window, "engine")
    lines = ["| engine | vantage | route | failover by the history | longest gap in a panel |", "|---|---|---|---|---|"]
    for key, seconds in sorted(by_history.items()):
        by_panel = by_prometheus.get(key)
        lines.append(f"| {' | '.join(key)} | {seconds:.2f} s | {'-' if by_panel is None else f'{by_panel:.2f} s'} |")
    return lines


def _figures(prom: Prometheus, query: str, window: Window, engine: str) -> dict[tuple[str, str, str], float]:
    rows = prom.series(query, window, instant=True)
    return {
        (row["metric"][engine], row["metric"]["vantage"], row["metric"]["route"]): float(row["value"][1])
        for row in rows
    }


def page(head: str, findings: Findings, wrong: Sequence[str], gaps: Sequence[str]) -> str:
    """Format the page of evidence."""
    with_data = sum(bool(query.series) for query in findings.queries)
    sentences = [f"- {sentence}" for sentence in wrong] or [
        "No query was refused, and none was empty without a reason."
    ]
    return "\n".join(
        [
            "# Dashboards",
            "",
            head,
            "",
            f"{len(findings.queries)} queries with their variables filled in were sent to the HTTP API of the lab's "
            f"Prometheus, as Grafana sends them; {with_data} returned data. Grafana itself was not run.",
            "",
            *sentences,
            "",
            "## Outages",
            "The history's failover counts from the injection to the end of the last outage that began before heal, of "
            "all operations; the gap is the longest time without an acknowledgement at the end of any second. By the "
            "route `direct` each operation goes to one member: where there is no primary, those that went to others "
            "are acked meanwhile, so Cassandra's gap there is short.",
            "",
            *gaps,
            "",
            "## Variables and queries",
            *table(findings),
            "",
        ]
    )


def main() -> int:
    """Ask, write the page, and print what is wrong. Returns 0 if nothing is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, help="ask about the last minutes, and make no run")
    minutes = parser.parse_args().minutes
    load = os.getloadavg()[0]
    valid, window = (True, Window(time.time() - 60 * minutes, time.time())) if minutes else made()
    with prometheus() as prom:
        findings = run(list(files.read().values()), prom, window)
        gaps = outages(prom, window)
    wrong = unexplained(findings) + ([] if valid else ["not all runs are valid"])
    circumstance = (
        f"the last {minutes:g} minutes" if minutes else f"{' and '.join(RUNS)}, {window.end - window.start:.0f} s"
    )
    EVIDENCE.write_text(page(made_by(__file__, load, circumstance), findings, wrong, gaps))
    for sentence in wrong:
        print(f"FAILED: {sentence}", file=sys.stderr)
    print(f"{len(findings.queries)} queries; see {EVIDENCE.relative_to(REPOSITORY)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
