"""What a probe is to do, parsed once and never changed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from caplab.contract import bounds, objects
from caplab.contract.objects import CACHE, MODELS, READ_ROUTINGS, REPLICA, ROUTES, Levels, TransactionSettings
from caplab.model.transactions import TXN

from .cache.spec import CacheSpec, cache_from

WORKLOADS = (*objects.WORKLOADS, *objects.SCANS)
SPECULATIVE_MS_MAX = bounds.SPECULATIVE_MILLISECONDS
_BEATS_IN_FLIGHT = 2
_READERS_IN_FLIGHT = 1000  # readers of a cache: they wait in the client, and cost no server anything
CLOCK_SKEW_MS_MAX = bounds.CLOCK_SKEW_MILLISECONDS  # either way
MAX_LAG_BYTES = 1 << 20  # unless the probe says another bound
REPLICA_WAIT_MS = 50  # the same
REPLICA_WAIT_MS_MAX = bounds.REPLICA_WAIT_MILLISECONDS
TIMEOUT_MS_MIN, TIMEOUT_MS_MAX = bounds.TIMEOUT_MILLISECONDS  # of an operation, once it is sent
RATE_MAX = bounds.RATE
# Names of a run, a probe or a vantage: each is one component of a path, and cannot leave it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

NAMESPACE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # as the API server has them (RFC 1123)


def _refuse_unless(fine: bool, field: str, value: object, hint: str) -> None:
    if not fine:
        raise ValueError(f"{field} is {value!r}. Hint: {hint}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A client's limits: seconds, and how many operations may hang.

    in_flight bounds the operations on one server, of one kind and route, that wait for an answer, timed
    out or not: a server that hangs while its clients reconnect would otherwise run out of connections.
    """

    connect_seconds: float = 1.0
    statement_seconds: float = 1.0
    start_seconds: float = 0.75  # how late an operation may start before it is an overload
    scan_seconds: float = 60.0  # for a final scan of one member, and for making tables
    in_flight: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How the client itself works, where an engine's client leaves a choice.

    client_timestamps: writes carry the client's time, not the server's. speculative_delay_ms: after so long without an
    answer another server is asked too (milliseconds, 1 to SPECULATIVE_MS_MAX); None: none is. speculative_retry_ms:
    after so long without a replica's copy its coordinator reads from another one (same bounds); None: after as long as
    99 % of reads take. read_routing: one of READ_ROUTINGS, for reads of the route replica; None is plain, and is not in
    the history. max_lag_bytes (bytes of write-ahead log) belongs to lag-aware, replica_wait_ms (milliseconds, 1 to
    REPLICA_WAIT_MS_MAX) to causal; None: the defaults above. clock_skew_ms: how far the client's clock is ahead
    (milliseconds, at most CLOCK_SKEW_MS_MAX either way; negative: behind) at the skewed_vantages, or at all if none is
    named. timeout_ms: how long an operation may take once it is sent (milliseconds, TIMEOUT_MS_MIN to TIMEOUT_MS_MAX);
    None: as in the prober's Limits.
    """

    client_timestamps: bool = True
    speculative_delay_ms: int | None = None
    speculative_retry_ms: int | None = None
    read_routing: str | None = None
    max_lag_bytes: int | None = None
    replica_wait_ms: int | None = None
    clock_skew_ms: int | None = None
    skewed_vantages: tuple[str, ...] = ()
    timeout_ms: int | None = None

    def __post_init__(self) -> None:
        plain = isinstance(self.client_timestamps, bool)
        _refuse_unless(plain, "client.clientTimestamps", self.client_timestamps, "true or false")
        hint = f"a whole number, 1 to {SPECULATIVE_MS_MAX}"
        for name, ms in (("Delay", self.speculative_delay_ms), ("Retry", self.speculative_retry_ms)):
            fits = ms is None or (type(ms) is int and 1 <= ms <= SPECULATIVE_MS_MAX)
            _refuse_unless(fits, f"client.speculative{name}Milliseconds", ms, hint)
        self._check_reads()
        self._check_skew()
        self._check_timeout()

    def at(self, vantage: str) -> ClientOptions:
        """Return the options of a vantage's own client: it has the skew or has none."""
        elsewhere = bool(self.skewed_vantages) and vantage not in self.skewed_vantages
        return replace(self, clock_skew_ms=None if elsewhere else self.clock_skew_ms, skewed_vantages=())

    def limits(self, usual: Limits) -> Limits:
        """Return a prober's limits with this client's time-out."""
        return usual if self.timeout_ms is None else replace(usual, statement_seconds=self.timeout_ms / 1000)

    def _check_timeout(self) -> None:
        timeout = self.timeout_ms
        fits = timeout is None or (type(timeout) is int and TIMEOUT_MS_MIN <= timeout <= TIMEOUT_MS_MAX)
        hint = f"a whole number, {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}"
        _refuse_unless(fits, "client.timeoutMilliseconds", timeout, hint)

    def _check_skew(self) -> None:
        skew, where = self.clock_skew_ms, self.skewed_vantages
        fits = skew is None or (type(skew) is int and abs(skew) <= CLOCK_SKEW_MS_MAX)
        name, hint = "client.clockSkewMilliseconds", f"a whole number, -{CLOCK_SKEW_MS_MAX} to {CLOCK_SKEW_MS_MAX}"
        _refuse_unless(fits, name, skew, hint)
        _refuse_unless(skew is None or self.client_timestamps, name, skew, "only with clientTimestamps true")
        _refuse_unless(not where or skew is not None, "client.skewedVantages", where, "only with clockSkewMilliseconds")

    def _check_reads(self) -> None:
        routing, lag, wait = self.read_routing, self.max_lag_bytes, self.replica_wait_ms
        is_known = routing is None or routing in READ_ROUTINGS
        _refuse_unless(is_known, "client.readRouting", routing, f"one of {', '.join(READ_ROUTINGS)}")
        fits = lag is None or (type(lag) is int and lag >= 0)
        _refuse_unless(fits, "client.maxLagBytes", lag, "a whole number, 0 or more")
        _refuse_unless(lag is None or routing == "lag-aware", "client.maxLagBytes", lag, "only with lag-aware")
        fits = wait is None or (type(wait) is int and 1 <= wait <= REPLICA_WAIT_MS_MAX)
        name, hint = "client.replicaWaitMilliseconds", f"a whole number, 1 to {REPLICA_WAIT_MS_MAX}"
        _refuse_unless(fits, name, wait, hint)
        _refuse_unless(wait is None or routing == "causal", name, wait, "only with causal")


PLAIN_CLIENT = ClientOptions()
DEFAULT_LEVELS = Levels()
DEFAULT_TRANSACTIONS = TransactionSettings()
# The options by their names in a Probe object.
CLIENT_FIELDS = {
    "clientTimestamps": "client_timestamps",
    "speculativeDelayMilliseconds": "speculative_delay_ms",
    "speculativeRetryMilliseconds": "speculative_retry_ms",
    "readRouting": "read_routing",
    "maxLagBytes": "max_lag_bytes",
    "replicaWaitMilliseconds": "replica_wait_ms",
    "clockSkewMilliseconds": "clock_skew_ms",
    "skewedVantages": "skewed_vantages",
    "timeoutMilliseconds": "timeout_ms",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """One probe as every vantage runs it; rate is operations a second of one vantage, over all its routes.

    seconds None: until stopped. vantages is the same list everywhere: places in it go into values.
    name tells the probes of a run apart. Raises ValueError, with the field and the hint.
    """

    run_id: str
    workload: str
    rate: float
    routes: tuple[str, ...]
    vantages: tuple[str, ...]
    seed: int
    seconds: float | None = None
    name: str = "probe"
    levels: Levels = DEFAULT_LEVELS
    client: ClientOptions = PLAIN_CLIENT
    cache: CacheSpec | None = None
    transactions: TransactionSettings | None = None

    def __post_init__(self) -> None:
        _refuse_unless(NAME.fullmatch(self.run_id) is not None, "runId", self.run_id, "letters, digits, '.', '_', '-'")
        _refuse_unless(NAME.fullmatch(self.name) is not None, "name", self.name, "letters, digits, '.', '_', '-'")
        workloads = (*WORKLOADS, CACHE)
        _refuse_unless(self.workload in workloads, "workload", self.workload, f"one of {', '.join(workloads)}")
        self._check_cache()
        self._check_transactions()
        fits = math.isfinite(self.rate) and 0 < self.rate <= RATE_MAX
        _refuse_unless(fits, "rate", self.rate, f"more than 0 and at most {RATE_MAX:g}")
        fits = bool(self.routes) and set(self.routes) <= set(ROUTES) and len(set(self.routes)) == len(self.routes)
        _refuse_unless(fits, "routes", self.routes, f"some of {', '.join(ROUTES)}, each once")
        named = 0 < len(set(self.vantages)) == len(self.vantages) <= bounds.VANTAGES and all(
            map(NAME.fullmatch, self.vantages)
        )
        _refuse_unless(named, "vantages", self.vantages, f"1 to {bounds.VANTAGES} names, each once")
        _refuse_unless(self.seconds is None or self.seconds > 0, "seconds", self.seconds, "more than 0")
        routing = self.client.read_routing
        used = routing is None or REPLICA in self.routes
        _refuse_unless(used, "client.readRouting", routing, f"leave it out, or add the route {REPLICA}")
        plain = routing in (None, "plain") or self.workload != TXN
        _refuse_unless(
            plain, "client.readRouting", routing, f"leave it out; transactions of {TXN} are not routed by it"
        )
        skewed = self.client.skewed_vantages
        hint = f"some of {', '.join(self.vantages)}, each once"
        _refuse_unless(len(set(skewed) & set(self.vantages)) == len(skewed), "client.skewedVantages", skewed, hint)

    def limits(self, usual: Limits) -> Limits:
        """Return a prober's limits as this probe uses them."""
        own = self.client.limits(usual)
        # Beats that hang add no information, and take connections from the operations that are measured.
        if self.workload == "clock":
            return replace(own, in_flight=min(own.in_flight, _BEATS_IN_FLIGHT))
        return replace(own, in_flight=_READERS_IN_FLIGHT) if self.workload == CACHE else own

    def _check_transactions(self) -> None:
        """Refuse transactions that make no sense; the workload txn without any has the usual ones."""
        transactions = self.transactions
        if transactions is None:
            return
        if self.workload != TXN:
            raise ValueError(f"transactions is given. Hint: leave it out; it is for the workload {TXN}.")
        is_known = transactions.model in MODELS
        _refuse_unless(is_known, "transactions.model", transactions.model, f"one of {', '.join(MODELS)}")
        for name, value, least, most in (
            ("operations", transactions.operations, 1, bounds.TXN_OPERATIONS),
            ("keys", transactions.keys, 1, bounds.TXN_KEYS),
            ("activeKeys", transactions.active_keys, 1, bounds.TXN_ACTIVE_KEYS),
            ("writesPerKey", transactions.writes_per_key, 1, bounds.TXN_WRITES_PER_KEY),
            ("readShare", transactions.read_share, 0, 100),
            ("skewShare", transactions.skew_share, 0, 100),
        ):
            fits = type(value) is int and least <= value <= most
            _refuse_unless(fits, f"transactions.{name}", value, f"a whole number, {least} to {most}")
        long_enough = not transactions.skew_share or transactions.operations > 1
        hint = "2 or more: such a transaction reads and writes"
        _refuse_unless(long_enough, "transactions.operations", transactions.operations, hint)

    def _check_cache(self) -> None:
        if (self.cache is None) == (self.workload == CACHE):
            hint = "describe the cache" if self.cache is None else f"leave it out; it is for the workload {CACHE}"
            raise ValueError(f"cache is {'missing' if self.cache is None else 'given'}. Hint: {hint}.")
        _refuse_unless(self.cache is None or self.routes == ("service",), "routes", self.routes, "only service")


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster a probe is aimed at."""

    namespace: str
    kind: str
    name: str


def probe_from(probe: objects.Probe) -> tuple[ProbeSpec, Target]:
    """Take what a prober needs from a Probe. Raises ValueError, which names the field that is wrong."""
    asked = probe.spec
    spec = ProbeSpec(
        run_id=asked.run_id,
        workload=asked.workload,
        rate=float(asked.rate),
        routes=asked.routes,
        vantages=asked.vantages,
        seed=asked.seed,
        seconds=asked.seconds,
        name=probe.metadata.name,
        levels=asked.levels or DEFAULT_LEVELS,
        client=_client_options(asked.client) if asked.client else PLAIN_CLIENT,
        cache=cache_from(asked.cache) if asked.cache else None,
        transactions=asked.transactions,
    )
    return spec, Target(str(probe.metadata.namespace), asked.target.kind, asked.target.name)


def _client_options(client: objects.ClientSettings) -> ClientOptions:
    return ClientOptions(
        client_timestamps=client.client_timestamps,
        speculative_delay_ms=client.speculative_delay_milliseconds,
        speculative_retry_ms=client.speculative_retry_milliseconds,
        read_routing=client.read_routing,
        max_lag_bytes=client.max_lag_bytes,
        replica_wait_ms=client.replica_wait_milliseconds,
        clock_skew_ms=client.clock_skew_milliseconds,
        skewed_vantages=client.skewed_vantages or (),
        timeout_ms=client.timeout_milliseconds,
    )
