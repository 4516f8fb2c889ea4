"""The engines, in one table: what all parts of the lab have to know of each.

The chart and the cluster's package cannot import it: they read charts/caplab/files/engines.json. To write it anew:
python -m caplab.contract.engines > charts/caplab/files/engines.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

Entry = TypeVar("Entry")
_TABLE = "caplab.contract.engines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine: the name of its folders, label and image, and the kind of its clusters.

    has_primary: one member takes the writes, in an epoch of its own; otherwise any does, and there are no epochs.
    epoch: the engine's word for one; stamped: for what its server stamps with a time in it. port: for clients.
    metrics_port: of the exporter's pods, whose image is exporter; without one, of the members themselves.
    """

    name: str
    kind: str
    has_primary: bool
    epoch: str = ""
    stamped: str = ""
    port: int
    exporter: str = ""
    metrics_port: int

    @property
    def plural(self) -> str:
        """The resource that the API server serves."""
        return f"{self.kind.lower()}s"

    @property
    def image_variable(self) -> str:
        """The operator's environment variable with the reference of the members' image."""
        return variable_of(self.name)

    @property
    def exporter_variable(self) -> str:
        """The operator's environment variable with the reference of the exporter's image."""
        return variable_of(self.exporter)


def name_for(kind: str) -> str:
    """Return the name of the engine of a kind of clusters; '' if it is no such kind."""
    return BY_KIND[kind].name if kind in BY_KIND else ""


def variable_of(image: str) -> str:
    """Return the operator's environment variable with the reference of an image."""
    return f"CAPLAB_IMAGE_{image.upper().replace('-', '_')}"


POSTGRES = Engine(
    name="postgres",
    kind="PostgresCluster",
    has_primary=True,
    epoch="timeline",
    stamped="commit on",
    port=5432,
    exporter="postgres-exporter",
    metrics_port=9187,
)
REDIS = Engine(
    name="redis",
    kind="RedisCluster",
    has_primary=True,
    epoch="replication id",
    stamped="write under",
    port=6379,
    exporter="redis-exporter",
    metrics_port=9121,
)
CASSANDRA = Engine(
    name="cassandra",
    kind="CassandraCluster",
    has_primary=False,
    port=9042,
    metrics_port=7070,
)
ENGINES = (POSTGRES, REDIS, CASSANDRA)
BY_NAME: Mapping[str, Engine] = MappingProxyType({engine.name: engine for engine in ENGINES})
BY_KIND: Mapping[str, Engine] = MappingProxyType({engine.kind: engine for engine in ENGINES})


def complete(registry: str, entries: Mapping[Engine, Entry]) -> dict[Engine, Entry]:
    """Return the entries of a registry in the table's order; registry: the name of its module.

    Raises LookupError if it lacks an engine of the table, or has another.
    """
    for engine in [engine for engine in (*ENGINES, *entries) if (engine in ENGINES) != (engine in entries)]:
        there, lacking = (registry, _TABLE) if engine in entries else (_TABLE, registry)
        raise LookupError(
            f"The engine {engine.name} ({engine.kind}) is in {there}, but not in {lacking}. Hint: add it there."
        )
    return {engine: entries[engine] for engine in ENGINES}


def for_chart() -> str:
    """Return the content of charts/caplab/files/engines.json: what the chart and the cluster's package need."""
    rows = [
        {
            "name": engine.name,
            "kind": engine.kind,
            "plural": engine.plural,
            "hasPrimary": engine.has_primary,
            "exporter": engine.exporter,
            "metricsPort": engine.metrics_port,
        }
        for engine in ENGINES
    ]
    return json.dumps(rows, indent=2) + "\n"


if __name__ == "__main__":
    print(for_chart(), end="")
