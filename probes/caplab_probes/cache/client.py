"""The client of the workload cache. To the prober it is a client like any other, with two clusters behind it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from caplab.contract.engines import POSTGRES, REDIS

from ..engines import factory_for
from ..links import Endpoint, NotDone, Result, Scan
from ..load.workloads import Operation
from ..spec import PLAIN_CLIENT, Limits
from .database import Cost, Database
from .reader import Reader
from .redis_cache import RedisCache
from .spec import CacheSpec
from .values import ClusterAccess, Load

_CACHE_SECONDS = 0.2  # a cache that takes longer counts as unavailable
_DEADLINE_SHARE = 0.95  # share of the statement's time: the reader gives up before the operation counts as hanging


class CacheLink:
    """A share in what all readers of a prober have in common."""

    server = None  # the answer shows which member it is
    alive = True

    def __init__(self, reader: Reader, database: Database) -> None:
        self._reader, self._database = reader, database

    async def perform(self, operation: Operation) -> Result:
        """Read through the cache, or write to the database."""
        if operation.op == "read":
            return await self._reader.read(operation.key or "")
        return await self._database.write(operation)

    def close(self) -> None:
        """Do nothing: a link owns nothing."""


class CacheClient:
    """Client that reads through the cache of a RedisCluster, in front of a PostgresCluster.

    seed: the seed of the readers' random draws.
    """

    def __init__(
        self, cache_spec: CacheSpec, cache: ClusterAccess, store: ClusterAccess, limits: Limits, seed: int
    ) -> None:
        self._spec, self._limits, self._random = cache_spec, limits, Random(seed)
        self._cache, self._store = cache, store
        self._redis = factory_for(REDIS.kind).client(cache.login, limits, cache.topology, PLAIN_CLIENT)
        self._postgres = factory_for(POSTGRES.kind).client(store.login, limits, store.topology, PLAIN_CLIENT)
        self._shared: tuple[RedisCache, Database, Reader] | None = None
        self._on_load: Callable[[Load], None] | None = None

    def report_loads_to(self, on_load: Callable[[Load], None]) -> None:
        """Call on_load once for each load that the database was asked for, when the load has ended."""
        self._on_load = on_load

    async def open(self, endpoint: Endpoint) -> CacheLink:
        """Open a link; endpoint is the cache's Service."""
        _, database, reader = self._started(endpoint)
        return CacheLink(reader, database)

    async def prepare(self, endpoint: Endpoint) -> None:
        """Make what the workload needs where it is missing. Raises NotDone."""
        problem = "no endpoint of the store is known"
        topology = self._store.topology()
        for store_endpoint in filter(None, (topology.service, *topology.members)):
            try:
                await self._postgres.prepare(store_endpoint)
            except NotDone as error:
                problem = str(error)
            else:
                return await self._redis.prepare(endpoint)
        raise NotDone(problem)

    async def scan(self, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
        """Raise NotDone: a cache is no source of truth, so it is never scanned."""
        raise NotDone("a cache cannot be scanned. Hint: scan its store.")

    async def close(self) -> None:
        """Close everything."""
        if self._shared is not None:
            cache, database, reader = self._shared
            reader.close()
            database.close()
            cache.close()
        await self._redis.close()
        await self._postgres.close()

    def _started(self, endpoint: Endpoint) -> tuple[RedisCache, Database, Reader]:
        if self._shared is None:
            cache_spec, service = self._spec, self._store.topology().service
            if service is None:
                raise RuntimeError("a PostgresCluster has a Service")
            cache = RedisCache(self._redis, endpoint, _CACHE_SECONDS)
            cost = Cost(cache_spec.load_ms, cache_spec.places)
            database = Database(self._postgres, service, cost, cache_spec.connections, self._note)
            deadline_seconds = _DEADLINE_SHARE * self._limits.statement_seconds
            reader = Reader(cache, database, cache_spec.rule, cache_spec.timing, self._uniform, deadline_seconds)
            self._shared = cache, database, reader
        return self._shared

    def _note(self, load: Load) -> None:
        if self._on_load is not None:
            self._on_load(load)

    def _uniform(self) -> float:
        """Draw from (0, 1], so that its logarithm is a number."""
        return 1.0 - self._random.random()
