"""How Prometheus' configuration makes series of what members tell: asked of a real Prometheus."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from dashboard_queries import Prometheus
from support.chart.rule_checks import CONFIG
from support.metrics.local_prometheus import exporter, needs_prometheus, prometheus

# What an exporter tells of a member; @ is another one after each start.
TOLD = {
    "caplab-postgres": """
pg_up @
pg_stat_activity_count{datname="caplab",server="10.0.0.@:5432",state="active"} 1
pg_stat_replication_pg_wal_lsn_diff{application_name="pg-1",client_addr="10.0.1.@",server="10.0.0.@:5432"} 0
go_goroutines 9
""",
    "caplab-redis": """
redis_up @
redis_instance_info{master_replid="a@",process_id="@",redis_version="8.0",role="master",run_id="f@"} 1
redis_commands_total{cmd="get"} @
process_open_fds 9
""",
}


def await_told(prom: Prometheus, start: int) -> None:
    until = time.monotonic() + 20
    while not prom.ask("query", query=f'{{__name__=~"pg_up|redis_up"}} == {start}')["result"]:
        assert time.monotonic() < until
        time.sleep(0.1)


@needs_prometheus
@pytest.mark.parametrize("job", TOLD)
def test_a_member_that_begins_anew_goes_on_with_the_series_it_has(job: str, tmp_path: Path) -> None:
    jobs = {scrape["job_name"]: scrape for scrape in yaml.safe_load(CONFIG.read_text())["scrape_configs"]}
    start = [1]
    with (
        exporter(lambda: TOLD[job].replace("@", str(start[0]))) as port,
        prometheus(tmp_path, {job: port}, jobs[job]["metric_relabel_configs"]) as address,
    ):
        prom = Prometheus(address)
        await_told(prom, 1)
        before = prom.ask("series", **{"match[]": f'{{job="{job}"}}'})
        start[0] = 2
        await_told(prom, 2)
        after = prom.ask("series", **{"match[]": f'{{job="{job}"}}'})
    names = {scrape["__name__"] for scrape in after}
    assert len([name for name in names if name.startswith(("pg_", "redis_"))]) == 3
    assert not [name for name in names if name.startswith(("go_", "process_"))]
    assert len(after) == len(before)
