"""The part of a cluster's spec that all engines share, parsed and validated.

The API server applies defaults and limits (the CRDs' schemas), so objects that arrive here are complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from caplab.contract import meta
from caplab.contract.engines import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster object; each engine's own spec sets ENGINE."""

    ENGINE: ClassVar[Engine]

    name: str
    namespace: str
    uid: str
    generation: int
    replicas: int
    storage_size: str
    keep_volumes: bool
    memory_request: str
    cpu_request: str
    parameters: Mapping[str, str]


def common_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Parse the fields of Cluster from an object as the API server returns it."""
    spec = body["spec"]
    storage, resources = spec["storage"], spec["resources"]
    return {
        "name": meta.name_of(body),
        "namespace": meta.namespace_of(body),
        "uid": meta.uid_of(body),
        "generation": meta.generation_of(body),
        "replicas": spec["replicas"],
        "storage_size": storage["size"],
        "keep_volumes": storage["onDeletion"] == "Retain",
        "memory_request": resources["memoryRequest"],
        "cpu_request": resources["cpuRequest"],
        "parameters": spec["parameters"],
    }
