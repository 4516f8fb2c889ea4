"""The plan of a run, read from an experiment's `caplab` extension and validated here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaoslib import substitute

from caplab.contract.bounds import (
    CLOCK_SKEW_MILLISECONDS,
    TIMEOUT_MILLISECONDS,
    TXN_ACTIVE_KEYS,
    TXN_KEYS,
    TXN_OPERATIONS,
    TXN_WRITES_PER_KEY,
)
from caplab.contract.engines import POSTGRES, REDIS, Engine
from caplab.contract.objects import ISOLATION_LEVELS, REDIS_TRANSACTIONS
from caplab.model.fields import FieldError, Fields, Json
from caplab.model.runs import CACHE
from caplab.model.transactions import TXN

from ..clusters.engines import EngineModule, engine_named
from ..namespaces import configured
from .marks import Mark, marks_in

EXTENSION = "caplab"


@dataclass(frozen=True, slots=True)
class Store:
    """The PostgresCluster behind a cache."""

    name: str
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run: the cluster that it needs, the loads on it, and the row that judges it. The engine exists.

    For engine cache, the cluster is the cache, and store is the database behind it, which has all other loads.
    """

    namespace: str
    cluster: str
    spec: Mapping[str, Any]
    loads: Sequence[Mapping[str, Any]]
    vantages: Sequence[str]
    engine: str
    mode: str
    fault: str
    seed: int
    store: Store | None = None
    marks: Sequence[Mark] = ()

    @property
    def cluster_engine(self) -> EngineModule:
        """The engine of the cluster."""
        return _engine_of(self.engine)

    @property
    def writes_per_second(self) -> float:
        """The writes per second of all vantages, by the loads whose writes are counted in the end."""
        sets = [load["rate"] for load in self.loads if load["workload"] == "set"]
        return float(sum(sets)) * len(self.vantages)


def plan_of(experiment: Mapping[str, Any], configuration: Mapping[str, Any], secrets: Mapping[str, Any]) -> Plan:
    """Read the plan of an experiment under a configuration. Raises FieldError, which names what is missing or wrong."""
    blocks = [block for block in experiment.get("extensions") or () if block.get("name") == EXTENSION]
    if len(blocks) != 1:
        raise ValueError(f"The experiment has {len(blocks)} extension blocks named '{EXTENSION}'. Hint: write one.")
    fields = Fields.of(f"extension {EXTENSION}", substitute(blocks[0], dict(configuration), dict(secrets)))
    fields.only("name", "cluster", "store", "clients", "loads", "vantages", "row", "seed", "mark")
    cluster, row = fields.object("cluster"), fields.object("row")
    cluster.only("name", "spec", "variant", "variants")
    row.only("engine", "mode", "fault", "clients")
    engine, clients = _engine(row), fields.optional_object("clients")
    return Plan(
        namespace=configured(configuration),
        cluster=cluster.text("name"),
        spec=_spec(cluster),
        loads=[
            _load(load, engine, _LONGEST_SECONDS + _requested_seconds(configuration), clients)
            for load in fields.objects("loads")
        ],
        vantages=fields.texts("vantages"),
        engine=row.text("engine"),
        mode=_mode(row),
        fault=row.text("fault"),
        seed=int(str(fields.values.get("seed", 0))),
        store=_store(fields, row.text("engine")),
        marks=marks_in(fields, experiment),
    )


def _engine(row: Fields) -> EngineModule:
    try:
        return _engine_of(row.text("engine"))
    except LookupError as error:
        raise FieldError(f"{row.where}: {error}") from error


def _engine_of(name: str) -> EngineModule:
    """Return the engine of the cluster that a row's engine stands for. Raises LookupError, which lists the engines."""
    return engine_named(REDIS.name if name == CACHE else name)


def _store(fields: Fields, engine: str) -> Store | None:
    """Read the database behind a cache; other engines may have none."""
    if engine != CACHE:
        if "store" in fields.values:
            raise fields.error("store", f"left out: only a row of {CACHE} has one")
        return None
    store = fields.object("store")
    store.only("name", "spec")
    return Store(store.text("name"), store.object("spec").values)


def _spec(cluster: Fields) -> Mapping[str, Json]:
    """Return the cluster's spec; if it has variants, with the fields of the named one.

    A setting is substituted as text: by a variant it can stand for numbers, and for several fields.
    """
    spec = cluster.object("spec").values
    if not cluster.values.keys() & {"variant", "variants"}:
        return spec
    variants, chosen = cluster.object("variants"), cluster.text("variant")
    if chosen not in variants.values:
        raise cluster.error("variant", f"one of {', '.join(variants.values)}")
    return {**spec, **variants.object(chosen).values}


def _mode(row: Fields) -> str:
    """Return the row's mode, with the name of its clients if they have other options than usual."""
    clients = row.optional_text("clients") or _PLAIN
    return row.text("mode") if clients == _PLAIN else f"{row.text('mode')}-{clients}"


def _requested_seconds(configuration: Mapping[str, Any]) -> float:
    """Return the requested seconds of the fault, or of a control run's quiet; 0 if there is no such setting."""
    return float(str(configuration.get("seconds", 0)))


def _load(fields: Fields, engine: EngineModule, longest_seconds: float, clients: Fields | None) -> dict[str, Json]:
    fields.only("name", "workload", "rate", "routes", "levels", "client", "cache", "transactions")
    load: dict[str, Json] = {
        "name": fields.text("name"),
        "workload": fields.text("workload"),
        "rate": float(str(fields.values.get("rate", ""))),
        "seconds": longest_seconds,
    }
    if "routes" in fields.values:
        load["routes"] = list(fields.texts("routes"))
    if levels := _levels(fields.optional_object("levels"), engine, fields.text("workload")):
        load["levels"] = levels
    if client := _client(_options_of(fields, clients)):
        load["client"] = client
    if cache := _cache(fields.optional_object("cache")):
        load["cache"] = cache
    if transactions := _transactions(fields.optional_object("transactions")):
        load["transactions"] = transactions
    return load


def _options_of(load: Fields, clients: Fields | None) -> Fields | None:
    """Return the options of a load's client: its own, or those that it names of the experiment's clients."""
    named = load.values.get("client")
    if not isinstance(named, str):
        return load.optional_object("client")
    known = clients.values if clients is not None else {}
    if clients is None or named not in known:
        raise load.error(
            "client", f"its options, or one of the experiment's clients: {', '.join(known) or 'it has none'}"
        )
    return clients.object(named)


def _client(fields: Fields | None) -> dict[str, Json]:
    """Read the options of the engine's driver, if given. A value may be a setting, which is text."""
    if fields is None:
        return {}
    fields.only(*_CLIENT)
    options = {name: value for name, value in fields.values.items() if value not in (None, "")}
    return {name: _CLIENT[name](fields, name) for name in options}


def _cache(fields: Fields | None) -> dict[str, Json]:
    """Read the options of a cache's readers. A value may be a setting, which is text."""
    if fields is None:
        return {}
    fields.only(*_CACHE)
    return {name: _CACHE[name](fields, name) for name in fields.values}


def _transactions(fields: Fields | None) -> dict[str, Json]:
    """Read what transactions do. A value may be a setting, which is text."""
    if fields is None:
        return {}
    fields.only(*_TRANSACTIONS)
    return {name: _TRANSACTIONS[name](fields, name) for name in fields.values}


def _boolean(fields: Fields, name: str) -> Json:
    booleans: dict[str, Json] = {"true": True, "false": False}
    word = str(fields.values[name]).lower()
    if word not in booleans:
        raise fields.error(name, "true or false")
    return booleans[word]


def _whole(unit: str, least: int, most: int | None = None) -> Callable[[Fields, str], Json]:
    """Return a reader of whole numbers of a unit within bounds; a minus sign is allowed only if they include one."""
    bounds = f", at least {least}" if most is None else f", {least} to {most}"

    def read(fields: Fields, name: str) -> Json:
        text = str(fields.values[name])
        digits = text.removeprefix("-") if least < 0 else text
        if not digits.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            raise fields.error(name, f"a whole number of {unit}{bounds}")
        return int(text)

    return read


def _number(fields: Fields, name: str) -> Json:
    try:
        return float(str(fields.values[name]))
    except ValueError:
        raise fields.error(name, "a number") from None


def _vantages(fields: Fields, name: str) -> Json:
    return list(fields.texts(name))


def _levels(fields: Fields | None, engine: EngineModule, workload: str) -> dict[str, Json]:
    """Read the levels that writes and reads must reach, or how far transactions are kept apart.

    'wait-0' is left out, so that a level can be a setting.
    """
    if fields is None:
        return {}
    fields.only("read", "write")
    asked = {op: fields.optional_text(op) for op in fields.values}
    levels: dict[str, Json] = {op: level for op, level in asked.items() if level not in (None, _NO_LEVEL)}
    for op, level in levels.items():
        levels_known = _TXN_LEVELS.get(engine.ENGINE, ()) if workload == TXN else ()
        levels_known = levels_known or engine.LEVELS.get(op, ())
        if level not in levels_known:
            raise fields.error(op, f"one of {', '.join((_NO_LEVEL, *levels_known))} for {engine.ENGINE.kind}")
    return levels


# A load that nobody ends still ends by itself, this long after its requested time.
_LONGEST_SECONDS = 900
_MIN_TIMEOUT_MS, _MAX_TIMEOUT_MS = TIMEOUT_MILLISECONDS
_TXN_LEVELS: Mapping[Engine, Sequence[str]] = {POSTGRES: ISOLATION_LEVELS, REDIS: REDIS_TRANSACTIONS}
_PLAIN = "plain"  # the clients of a row whose mode does not name them
_NO_LEVEL = "wait-0"  # what wait-${wait} becomes if no replica is waited for
# As in caplab_probes, which checks that they fit together.
_CACHE: Mapping[str, Callable[[Fields, str], Json]] = {
    "protection": Fields.text,
    "exponent": _number,
    "keys": _whole("keys", 1),
    "ttlMilliseconds": _whole("milliseconds", 1),
    "graceMilliseconds": _whole("milliseconds", 1),
    "loadMilliseconds": _whole("milliseconds", 1),
    "places": _whole("places", 1),
    "connections": _whole("connections", 1),
    "writeEvery": _whole("operations", 1),
}
_TRANSACTIONS: Mapping[str, Callable[[Fields, str], Json]] = {
    "model": Fields.text,
    "operations": _whole("operations", 1, TXN_OPERATIONS),
    "keys": _whole("keys", 1, TXN_KEYS),
    "activeKeys": _whole("keys", 1, TXN_ACTIVE_KEYS),
    "writesPerKey": _whole("writes", 1, TXN_WRITES_PER_KEY),
    "readShare": _whole("per cent", 0, 100),
    "skewShare": _whole("per cent", 0, 100),
}
_CLIENT: Mapping[str, Callable[[Fields, str], Json]] = {
    "clientTimestamps": _boolean,
    "speculativeDelayMilliseconds": _whole("milliseconds", 1),
    "speculativeRetryMilliseconds": _whole("milliseconds", 1),
    "readRouting": Fields.text,
    "maxLagBytes": _whole("bytes", 0),
    "replicaWaitMilliseconds": _whole("milliseconds", 1),
    "clockSkewMilliseconds": _whole("milliseconds", -CLOCK_SKEW_MILLISECONDS, CLOCK_SKEW_MILLISECONDS),
    "skewedVantages": _vantages,
    "timeoutMilliseconds": _whole("milliseconds", _MIN_TIMEOUT_MS, _MAX_TIMEOUT_MS),
}
