"""The engines a prober knows: found by kind, and loaded when a load needs one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from caplab_probes.engines import KINDS, engine_named, engine_of


@pytest.mark.parametrize(("kind", "name"), KINDS.items())
def test_an_engine_is_found_by_the_kind_of_its_clusters(kind: str, name: str) -> None:
    assert (engine_of(kind).kind, engine_of(kind).name) == (kind, name)
    assert engine_of(kind) is engine_named(name)


def test_a_kind_that_is_no_engines_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"target.kind is 'MongoCluster'.*PostgresCluster, RedisCluster"):
        engine_of("MongoCluster")


def test_an_idle_prober_has_no_driver_in_memory() -> None:
    program = "import caplab_probes.__main__, sys; print({'psycopg', 'redis', 'cassandra'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
