"""What an experiment's `caplab` extension asks for, read at the border."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaoslib import substitute

from caplab.model.fields import Fields, Json

from ..namespaces import namespace_of

EXTENSION = "caplab"


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: the cluster it needs, the loads on it, and the row it is judged by."""

    namespace: str
    cluster: str
    spec: Mapping[str, Any]
    loads: Sequence[Mapping[str, Any]]
    vantages: Sequence[str]
    engine: str
    mode: str
    fault: str
    seed: int

    @property
    def writes_per_second(self) -> float:
        """Of all vantages, by the loads whose writes are counted in the end."""
        sets = [load["rate"] for load in self.loads if load["workload"] == "set"]
        return float(sum(sets)) * len(self.vantages)


def plan_of(experiment: Mapping[str, Any], configuration: Mapping[str, Any], secrets: Mapping[str, Any]) -> Plan:
    """The plan of an experiment under a configuration; FieldError names what is missing or wrong."""
    blocks = [one for one in experiment.get("extensions") or () if one.get("name") == EXTENSION]
    if len(blocks) != 1:
        raise ValueError(f"The experiment has {len(blocks)} extension blocks named '{EXTENSION}'. Mend: write one.")
    fields = Fields.of(f"extension {EXTENSION}", substitute(blocks[0], dict(configuration), dict(secrets)))
    fields.only("name", "cluster", "loads", "vantages", "row", "seed")
    cluster, row = fields.object("cluster"), fields.object("row")
    cluster.only("name", "spec")
    row.only("engine", "mode", "fault")
    return Plan(
        namespace=namespace_of(configuration),
        cluster=cluster.text("name"),
        spec=cluster.object("spec").values,
        loads=[_load(one) for one in fields.objects("loads")],
        vantages=fields.texts("vantages"),
        engine=row.text("engine"),
        mode=row.text("mode"),
        fault=row.text("fault"),
        seed=int(str(fields.values.get("seed", 0))),
    )


def _load(fields: Fields) -> dict[str, Json]:
    fields.only("name", "workload", "rate", "routes")
    load: dict[str, Json] = {
        "name": fields.text("name"),
        "workload": fields.text("workload"),
        "rate": float(str(fields.values.get("rate", ""))),
        "seconds": _LONGEST_SECONDS,
    }
    return load | ({"routes": list(fields.texts("routes"))} if "routes" in fields.values else {})


# A load ends by itself even if nobody is left to end it.
_LONGEST_SECONDS = 900
