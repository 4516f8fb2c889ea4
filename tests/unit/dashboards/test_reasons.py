"""Why a dashboard's query may return nothing, and when no reason counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dashboard_queries import GONE, IDLE, Findings, QueryResult, reason_of, table, unexplained

EPOCH = QueryResult(
    dashboard="Run",
    where="Changes of the primary's term A",
    query='changes(caplab_cluster_epoch{cluster="x"}[3s])',
    filling={"cluster": "x"},
)


def of_engines(*engines: str) -> QueryResult:
    return replace(EPOCH, engines=frozenset(engines))


def test_a_cluster_that_had_gone_is_the_reason_whatever_was_asked() -> None:
    assert reason_of(of_engines()) == GONE
    result = replace(of_engines(), query="up")
    assert reason_of(result) == GONE
    there = replace(of_engines("postgres"), query="up", series=1)
    assert unexplained(Findings(queries=[result, there])) == []


@pytest.mark.parametrize(
    ("engines", "why"),
    [(("cassandra",), "Cassandra has no terms"), (("postgres",), None), (("cassandra", "redis"), None)],
)
def test_what_only_cassandra_lacks_excuses_no_other_engine(engines: tuple[str, ...], why: str | None) -> None:
    reason = reason_of(of_engines(*engines))
    assert (reason.why if reason else None) == why


def test_no_load_excuses_what_loads_tell_and_nothing_else() -> None:
    idle = replace(of_engines("postgres"), is_loaded=False)
    assert reason_of(replace(idle, query="caplab_seconds_since_last_ack")) == IDLE
    assert reason_of(replace(idle, query="pg_up")) is None
    assert reason_of(replace(idle, query="caplab_seconds_since_last_ack", is_loaded=True)) is None


def test_a_query_that_asks_about_no_cluster_is_not_excused_by_one_that_had_gone() -> None:
    result = replace(EPOCH, query="up", filling={}, engines=None)
    (problem,) = unexplained(Findings(queries=[result]))
    assert "for no known reason" in problem
    assert "unknown" in table(Findings(queries=[result]))[-1]


def test_a_query_that_is_empty_for_every_cluster_is_caught_though_all_had_gone() -> None:
    (problem,) = unexplained(Findings(queries=[of_engines(), replace(of_engines(), filling={"cluster": "y"})]))
    assert "no data with any of the 2 fillings" in problem
