"""The settings of the workload cache in a Probe object, parsed and validated (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from caplab.contract import bounds
from caplab.contract.objects import CacheSettings

from .protections import PROTECTIONS, CacheTiming, Protection


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSpec:
    """A cache in front of a database, and its readers.

    store: the PostgresCluster behind the RedisCluster that is the target. keys: how many keys there are. exponent: the
    exponent of Zipf's law (0: all keys are equally popular). load_ms and places: what a load costs (database.Cost).
    connections: how many loads of one prober may be under way. write_every: one operation in so many is a write.
    Raises ValueError, with the field and the hint.
    """

    store: str
    protection: str = "none"
    keys: int = 20
    exponent: float = 1.0
    ttl_ms: int = 10_000
    grace_ms: int = 10_000
    load_ms: int = 50
    places: int = 20
    connections: int = 40
    write_every: int = 100

    def __post_init__(self) -> None:
        _refuse_unless(bool(self.store), "store", self.store, "the name of a PostgresCluster")
        names = ", ".join(PROTECTIONS)
        _refuse_unless(self.protection in PROTECTIONS, "protection", self.protection, f"one of {names}")
        _refuse_unless(
            0 <= self.exponent <= bounds.CACHE_EXPONENT, "exponent", self.exponent, f"0 to {bounds.CACHE_EXPONENT:g}"
        )
        for field, name, most in (
            ("keys", "keys", bounds.CACHE_KEYS),
            ("ttl_ms", "ttlMilliseconds", bounds.CACHE_MILLISECONDS),
            ("grace_ms", "graceMilliseconds", bounds.CACHE_MILLISECONDS),
            ("load_ms", "loadMilliseconds", bounds.CACHE_MILLISECONDS),
            ("places", "places", bounds.CACHE_PLACES),
            ("connections", "connections", bounds.CACHE_CONNECTIONS),
            ("write_every", "writeEvery", bounds.CACHE_WRITE_EVERY),
        ):
            value = getattr(self, field)
            _refuse_unless(type(value) is int and 1 <= value <= most, name, value, f"a whole number, 1 to {most}")

    @property
    def rule(self) -> Protection:
        """The protection that its name stands for."""
        return PROTECTIONS[self.protection]

    @property
    def timing(self) -> CacheTiming:
        """The timing of its entries."""
        return CacheTiming(ttl_seconds=self.ttl_ms / 1000, grace_seconds=self.grace_ms / 1000)


def cache_from(cache: CacheSettings) -> CacheSpec:
    """Take spec.cache of a Probe. Raises ValueError, which names the field that is wrong."""
    return CacheSpec(
        store=cache.store,
        protection=cache.protection,
        keys=cache.keys,
        exponent=float(cache.exponent),
        ttl_ms=cache.ttl_milliseconds,
        grace_ms=cache.grace_milliseconds,
        load_ms=cache.load_milliseconds,
        places=cache.places,
        connections=cache.connections,
        write_every=cache.write_every,
    )


def _refuse_unless(fits: bool, field: str, value: object, hint: str) -> None:
    if not fits:
        raise ValueError(f"cache{field and f'.{field}'} is {value!r}. Hint: {hint}.")
