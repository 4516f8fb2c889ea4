"""Whatever members answer, a cluster has a status that the API server takes, and the rounds go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from caplab_operator.engines.cassandra import observe as cassandra
from caplab_operator.engines.cassandra import status as cassandra_status
from caplab_operator.engines.cassandra.ring_state import ring_of
from caplab_operator.engines.postgres import (
    answers,
    patroni,
    readings,
    rejoin,
    rollout,
    settings,
    settings_drift,
    status,
)
from caplab_operator.engines.postgres.observe import ObservedPostgres
from caplab_operator.engines.redis import observe as redis
from caplab_operator.engines.redis import status as redis_status
from caplab_operator.engines.redis.primary import primary_of
from hypothesis import example, given
from hypothesis import strategies as st
from support.chart.fits_schema import misfits, status_schema
from support.operator.observed_cassandra import SPEC as CASSANDRA
from support.operator.observed_cassandra import pod as cassandra_pod
from support.operator.observed_postgres import CURRENT, QUORUM, SPEC, answer, done, pod
from support.operator.observed_redis import SPEC as REDIS
from support.operator.observed_redis import pod as redis_pod

pytestmark = pytest.mark.property
CRDS = Path(__file__).parents[2] / "charts" / "caplab" / "templates" / "crds"
POSTGRES_STATUS = status_schema(CRDS / "postgrescluster.yaml")
REDIS_STATUS = status_schema(CRDS / "rediscluster.yaml")
CASSANDRA_STATUS = status_schema(CRDS / "cassandracluster.yaml")
NOW = "2026-01-01T00:00:00Z"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("x" * 5000),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["pg-0", "pg-1", "pg-2", "x" * 64])


def near(whole: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Such an object, with some of its fields something else."""
    return anything | st.dictionaries(st.sampled_from([*whole, "more"]), anything, max_size=3).map(
        lambda odd: {**whole, **odd}
    )


PATRONI = answer(
    "pg-0", xlog={"received_location": 5}, pending_restart_reason={"port": {}}, postmaster_start_time="now"
)
ROW = {"name": "pg-1", "role": "quorum_standby", "state": "streaming", "lag": 0}
READING: dict[str, Any] = {
    "recovering": False, "follows": True, "streams_to": ["pg-1"],
    "settings": [["fsync", "off", "", "bool", "default", "", False]],
    "lines": [["fsync", "off", "/x/postgresql.auto.conf", True, ""]], "overrides": [["u", "", ["fsync=off"]]],
}  # fmt: skip


def read(fields: Any) -> readings.Reading | None:
    try:
        return readings.parse(json.dumps(fields))
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


topologies = near({"members": [ROW]}) | st.builds(lambda row: {"members": [row]}, near(ROW))
histories = st.lists(st.lists(anything, min_size=5, max_size=5), max_size=3) | anything


@example(  # the primary says no timeline, and of the topology nothing that can be read
    {**PATRONI, "timeline": None},
    PATRONI,
    {"members": "x"},
    {"postgresql": [], "ttl": {}},
    [[1, 2, 3, [], {}]],
    READING,
    True,
)
@example(
    PATRONI, [], {"members": [ROW, {"name": []}]}, {"postgresql": {"parameters": [[]]}}, [7], {"settings": [[[]]]}, True
)
@example({**PATRONI, "xlog": [], "pending_restart_reason": [{}]}, PATRONI, {"members": [[]]}, [], {}, [], False)
@given(
    near(PATRONI), near(answer("pg-1")), topologies, near(patroni.dynamic_settings(QUORUM)), histories, near(READING),
    st.booleans(),
)  # fmt: skip
def test_whatever_postgres_and_patroni_say_has_a_status(
    first: Any, second: Any, topology: Any, config: Any, history: Any, reading: Any, quorum: bool
) -> None:
    spec = QUORUM if quorum else SPEC
    parsed = {"pg-0": answers.answer_from(first), "pg-1": answers.answer_from(second)}
    own_answers = {name: own_answer for name, own_answer in parsed.items() if own_answer is not None}
    own_readings = {} if (own := read(reading)) is None else {"pg-0": own, "pg-1": own}
    look = ObservedPostgres(
        pods=tuple(pod(f"pg-{number}") for number in range(3)),
        leader="pg-0",
        answers=own_answers,
        topology=answers.topology_from(topology),
        config=answers.config_from(config),
        history=answers.history_from(history),
        readings=own_readings,
    )
    rollout.next_step(spec, look, CURRENT, settings.gaps(spec, look))
    if look.config is not None:
        json.dumps(patroni.drift(patroni.dynamic_settings(spec), look.config))
    for name in rejoin.lagging(look):
        rejoin.needs_copy(look, name, 7)
    for each in own_readings.values():
        assert all(
            text.startswith("alter ")
            for text in [*settings_drift.system_resets(each), *settings_drift.override_resets(each)]
        )
    before = {"phase": "Ready", "primary": "pg-2"}
    assert misfits(POSTGRES_STATUS, status.build(spec, look, before, NOW, {}, done(look, spec))) == []


INFO = {
    "run_id": "1" * 40, "loading": "0", "role": "master", "master_host": "rd-1", "master_link_status": "up",
    "slave_repl_offset": "42", "master_replid": "a" * 40, "master_repl_offset": "43", "aof_enabled": "1",
    "aof_last_write_status": "ok", "aof_last_bgrewrite_status": "ok", "aof_rewrite_in_progress": "0",
    "aof_rewrite_scheduled": "0",
}  # fmt: skip
MASTER = ["ip", "rd-0.rd-members.demo.svc.cluster.local", "flags", "master", "num-other-sentinels", "2"]
words = st.sampled_from(["0", "-1", "9" * 30, "x" * 5000, "", "master", "up", "\x1b[2J"])
lists = st.lists(words | st.none() | st.integers() | st.lists(words, max_size=4), max_size=8)


@given(st.dictionaries(st.sampled_from(list(INFO)), words, max_size=3), lists | st.just(MASTER), lists, lists, lists)
def test_whatever_redis_and_sentinel_say_has_a_status(
    odd: dict[str, str], master: list[Any], replicas: list[Any], debug: list[Any], config: list[Any]
) -> None:
    members, sentinels = {}, {}
    for name, info in (("rd-0", {**INFO, **odd}), ("rd-1", INFO | {"role": "slave"})):
        try:
            members[name] = redis.member_from(info, config)
            members[name] = replace(members[name], access=redis.access_from(info, replicas))
        except redis._NO_ANSWER:
            continue
    with suppress(*redis._NO_ANSWER):
        sentinels["rd-sentinel-0"] = redis.sentinel_from(master, replicas, debug)
    pods = tuple(redis_pod(f"rd-{number}", number) for number in range(3))
    look = redis.ObservedRedis(
        place=redis.Place(pods, (redis_pod("rd-sentinel-0", 0),), "pw"), began=0.0, members=members, sentinels=sentinels
    )
    written = redis_status.build(REDIS, look, primary_of(look), {"phase": "Ready"}, NOW, {}, redis_status.RoundResult())
    assert misfits(REDIS_STATUS, written) == []


STATE: dict[str, Any] = {
    "stage": "running", "mode": "NORMAL", "hostId": "h0", "native": True, "live": ["10.0.0.0"],
    "hostIds": {"10.0.0.0": "h0"}, "owns": {"10.0.0.0": 1.0}, "schemas": {"10.0.0.0": "s"},
}  # fmt: skip


@given(near(STATE), near(STATE))
def test_whatever_cassandra_says_has_a_status(first: Any, second: Any) -> None:
    members = {}
    for name, raw in (("cs-0", first), ("cs-1", second)):
        try:
            members[name] = cassandra.member_from(raw)
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    look = cassandra.ObservedCassandra(
        cassandra.Place(tuple(cassandra_pod(number) for number in range(3)), "pw"), members
    )
    built = cassandra_status.build(CASSANDRA, look, ring_of(look, {}), {}, NOW, cassandra_status.RoundResult())
    assert misfits(CASSANDRA_STATUS, built) == []
