"""The engines a prober knows: found by kind, and loaded when a load needs one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from caplab_probes.engines import factory_for

from caplab.contract.engines import ENGINES, Engine


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engines_factory_is_found_by_the_kind_of_its_clusters(engine: Engine) -> None:
    assert factory_for(engine.kind).engine is engine


def test_a_kind_that_is_no_engines_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"target.kind is 'MongoCluster'.*PostgresCluster, RedisCluster"):
        factory_for("MongoCluster")


def test_an_idle_prober_has_no_driver_in_memory() -> None:
    program = "import caplab_probes.__main__, sys; print({'psycopg', 'redis', 'cassandra'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
