"""What a Probe may ask of the workload cache, and what its operations then are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from caplab_probes.cache.spec import CacheSpec
from caplab_probes.engines import factory_for
from caplab_probes.history.meta import begin, read_metas, reserve, write_meta
from caplab_probes.load.schedule import Schedule
from caplab_probes.load.workloads import Writer, cached_key_of, operation
from caplab_probes.spec import ProbeSpec, probe_from

from caplab.contract.objects import Probe

SAID: dict[str, Any] = {"store": "pg", "protection": "lock", "keys": 4, "exponent": 0, "writeEvery": 10}


def body(**spec: Any) -> dict[str, Any]:
    whole = {
        "target": {"kind": "RedisCluster", "name": "cache"},
        "workload": "cache",
        "rate": 100,
        "vantages": ["a", "b", "c"],
        "routes": ["service"],
        "runId": "run-1",
        "cache": SAID,
    }
    return {"metadata": {"name": "readers", "namespace": "ns"}, "spec": {**whole, **spec}}


def asked(**spec: Any) -> ProbeSpec:
    return probe_from(Probe.from_body(body(**spec)))[0]


def test_it_is_read_as_it_is_said() -> None:
    cache = asked().cache
    assert cache == CacheSpec(store="pg", protection="lock", keys=4, exponent=0.0, write_every=10)
    assert cache.timing.ttl_seconds == 10
    factory_for("RedisCluster").check(asked())


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"protection": "hope"}, "cache.protection is 'hope'. Hint: one of none, lock, xfetch, jitter, refresh-ahead"),
        ({"keys": 0}, "cache.keys is 0. Hint: a whole number, 1 to 10000."),
        ({"keys": 1.5}, "object.spec.cache.keys: must be a whole number, found 1.5."),
        ({"exponent": -1}, "cache.exponent is -1.0. Hint: 0 to 10."),
        ({"loadMilliseconds": 0}, "cache.loadMilliseconds is 0. Hint: a whole number, 1 to 600000."),
        ({"store": ""}, "cache.store is ''. Hint: the name of a PostgresCluster."),
    ],
)
def test_what_does_not_fit_is_refused_by_name(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="cache") as refused:
        asked(cache={**SAID, **fields})
    assert str(refused.value).startswith(problem)


def test_it_belongs_to_the_workload_and_to_a_cache() -> None:
    with pytest.raises(ValueError, match=r"cache is missing. Hint: describe the cache"):
        asked(cache=None)
    with pytest.raises(ValueError, match=r"cache is given. Hint: leave it out; it is for the workload cache"):
        asked(workload="set")
    with pytest.raises(ValueError, match=r"routes is .*Hint: only service"):
        asked(routes=["service", "direct"])
    with pytest.raises(ValueError, match=r"cache: field 'store' is missing"):
        asked(cache={"keys": 4})
    for kind in ("PostgresCluster", "CassandraCluster"):
        with pytest.raises(ValueError, match="workload is 'cache'"):
            factory_for(kind).check(asked())


def test_every_key_is_written_once_by_one_vantage_before_it_is_read_by_all() -> None:
    spec = replace(asked(), cache=CacheSpec(store="pg", protection="lock", keys=8, exponent=1.0, write_every=10))
    firsts: list[str | None] = []
    for vantage in range(3):
        writer = Writer(spec, vantage)
        ops = [operation(writer, index) for index in range(2000)]
        own = {cached_key_of(spec, number) for number in range(vantage, 8, 3)}
        begun = ops[: len(own)]
        assert {op.op for op in begun} == {"write"}
        firsts += [op.key for op in begun]
        assert {op.key for op in ops if op.op == "write"} == own
        reads = Counter(op.key for op in ops if op.op == "read")
        assert [key for key, _ in reads.most_common(2)] == [cached_key_of(spec, 0), cached_key_of(spec, 1)]
        assert {op.level for op in ops if op.op == "read"} == {"lock"}
        assert len({op.value for op in ops if op.op == "write"}) == sum(op.op == "write" for op in ops)
    assert sorted(map(str, firsts)) == [cached_key_of(spec, number) for number in range(8)]


def test_a_vantage_without_keys_of_its_own_only_reads() -> None:
    spec = replace(asked(), cache=CacheSpec(store="pg", keys=1, write_every=2))
    assert {operation(Writer(spec, 1), index).op for index in range(100)} == {"read"}


def test_it_is_read_back_from_the_meta(tmp_path: Any) -> None:
    writer = Writer(asked(), 0, reserve(tmp_path))
    write_meta(tmp_path, begin(writer, Schedule(0, 100.0)))
    (meta,) = read_metas(tmp_path)
    assert meta.writer == writer
