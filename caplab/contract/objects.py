"""The lab's objects that several parts read or write: their fields, types, defaults and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from . import bounds, names, phases
from .engines import BY_KIND
from .records import INT64, SET, Record, Rules, body_field, fields_of, map_by

_NAME: Rules = {"minLength": 1, "maxLength": bounds.CLUSTER_NAME}
_POD: Rules = {"maxLength": 63}
ZONE: Rules = {"maxLength": 63}
_NODE: Rules = {"maxLength": 253}
_UID: Rules = {"maxLength": 40}
TIME: Rules = {"maxLength": 40}
WORD: Rules = {"maxLength": 20}
_MEMBERS: Rules = {"minimum": 1, "maximum": bounds.FAULT_MEMBERS}
_MILLISECONDS: Rules = {"minimum": 1, "maximum": bounds.CACHE_MILLISECONDS}
_KINDS: Rules = {"enum": sorted(BY_KIND)}

TARGET, OTHER = "target", "other"  # ends of a fault: what it is aimed at, and the far end of a partition

# The signals whose default action ends a process (signal(7)).
SIGNALS = (
    *("SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1"),
    *("SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGSYS"),
)

# Words of a Probe's spec.
WORKLOADS = ("set", "register", "register-multi", "counter", "cas", "ids", "clock", "txn")
SCANS = ("set-scan", "register-scan", "counter-scan")
CACHE = "cache"  # a workload of a RedisCluster with a PostgresCluster behind it
SERVICE, DIRECT, ANY, REPLICA = ROUTES = ("service", "direct", "any", "replica")
DEFAULT_ROUTES = (SERVICE, DIRECT)
READ_ROUTINGS = ("plain", "read-your-writes", "monotonic", "lag-aware", "causal")
# What the keys of transactions hold, and how far SQL keeps transactions apart (levels of a PostgresCluster).
LIST_APPEND, RW_REGISTER = MODELS = ("list-append", "rw-register")
READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE = ISOLATION_LEVELS = ("read-committed", "repeatable-read", "serializable")
# How a RedisCluster's transactions are carried out: what they read first is watched, or all is between MULTI and EXEC.
WATCH, MULTI = REDIS_TRANSACTIONS = ("watch", "multi")
PROTECTIONS = ("none", "lock", "xfetch", "jitter", "refresh-ahead", "stale-while-revalidate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(Record):
    """What is known of any object. Only the API server sets uid and the times."""

    namespace: str | None = body_field()
    name: str = body_field(required=True)
    uid: str | None = body_field()
    generation: int | None = body_field()
    resource_version: str | None = body_field()
    creation_timestamp: str | None = body_field()
    deletion_timestamp: str | None = body_field()
    finalizers: tuple[str, ...] | None = body_field()
    labels: Mapping[str, str] | None = body_field()
    annotations: Mapping[str, str] | None = body_field()

    @property
    def is_being_deleted(self) -> bool:
        """Whether the object is being deleted."""
        return self.deletion_timestamp is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Record):
    """A Fault's spec.target: the pods that it hits. Exactly one of role, members, zone and node is set."""

    kind: str | None = body_field(**_KINDS)
    name: str | None = body_field(**_NAME)
    role: str | None = body_field(enum=["primary", "replica", "any"])
    members: tuple[str, ...] | None = body_field(
        minItems=1, maxItems=bounds.FAULT_MEMBERS, items={"minLength": 1, **_POD}, **SET
    )
    zone: str | None = body_field(minLength=1, **ZONE)
    node: str | None = body_field(minLength=1, **_NODE)
    count: int | None = body_field(**_MEMBERS)
    max_members: int | None = body_field(**_MEMBERS)


class FaultAction(Record):
    """The base of the fields of a Fault's spec that say what happens to its targets, one for each kind of fault."""

    __slots__ = ()

    @property
    def lasts(self) -> bool:
        """Whether it holds its targets until it heals, and with them the pods that replace them."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill(FaultAction):
    """A Fault's spec.kill."""

    signal: str = body_field(filled="SIGKILL", enum=SIGNALS)
    keep_down: bool = body_field(filled=True)

    @property
    def lasts(self) -> bool:
        """Whether its targets stay down."""
        return self.keep_down


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(FaultAction):
    """A Fault's spec.freeze."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition(FaultAction):
    """A Fault's spec.partition: whom the targets are cut off from, in which direction, and whether DNS is too."""

    source: str = body_field(name="from", required=True, enum=["peers", "controlPlane", "clients", "group"])
    direction: str = body_field(filled="both", enum=["both", "in", "out"])
    dns: str = body_field(filled="Keep", enum=["Keep", "Cut"])


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec(Record):
    """A Fault's spec. Exactly one of its actions is set, and duration_seconds."""

    target: Target = body_field(required=True)
    kill: Kill | None = body_field()
    freeze: Freeze | None = body_field()
    partition: Partition | None = body_field()
    duration_seconds: int | None = body_field(minimum=1, maximum=bounds.FAULT_SECONDS)
    seed: int = body_field(filled=0, **INT64)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of FAULT_KINDS that are set: one, in an object that the API server let through."""
        return tuple(kind for kind in FAULT_KINDS if getattr(self, kind) is not None)

    @property
    def lasts(self) -> bool:
        """Whether its action lasts."""
        return all(getattr(self, kind).lasts for kind in self.kinds)


# The kinds of fault by name: everything that lists them takes them from here.
FAULT_KINDS: Mapping[str, type[FaultAction]] = MappingProxyType(fields_of(FaultSpec, FaultAction))


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus(Record):
    """An entry of a Fault's status.targets: a pod. The operator writes the fields up to drops_to, an agent the others.

    Times in nanoseconds are CLOCK_MONOTONIC of the boot boot_id. No state: the injection has not begun.
    """

    uid: str = body_field(required=True, **_UID)
    pod: str | None = body_field(**_POD)
    node: str | None = body_field(**_NODE)
    zone: str | None = body_field(**ZONE)
    cluster: str | None = body_field(**_POD)
    end: str | None = body_field(**WORD)
    replaces: str | None = body_field(**_UID)
    drops_from: tuple[str, ...] | None = body_field(maxItems=bounds.ADDRESSES, items={"maxLength": 45})
    drops_to: tuple[str, ...] | None = body_field(maxItems=bounds.ADDRESSES, items={"maxLength": 45})
    state: str | None = body_field(**WORD)
    injected_at: str | None = body_field(**TIME)
    healed_at: str | None = body_field(**TIME)
    injected_ns: int | None = body_field(**INT64)
    healed_ns: int | None = body_field(**INT64)
    effective_ns: int | None = body_field(**INT64)
    boot_id: str | None = body_field(**_UID)
    proven: bool | None = body_field()
    evidence: tuple[str, ...] | None = body_field(
        maxItems=bounds.EVIDENCE_LINES, items={"maxLength": bounds.EVIDENCE_CHARACTERS}
    )
    problem: str | None = body_field(maxLength=bounds.MESSAGE_CHARACTERS)

    @property
    def is_target(self) -> bool:
        """Whether the fault is aimed at the pod: it is no far end of a partition."""
        return self.end in (None, TARGET)

    @property
    def has_ended(self) -> bool:
        """Whether the agent has reported that nothing of the fault is left on the pod."""
        return self.state in phases.TARGET_ENDED

    def operator_part(self) -> TargetStatus:
        """Return what the operator writes of it."""
        return TargetStatus(**{name: getattr(self, name) for name in OPERATOR_FIELDS})


# What the operator writes of a TargetStatus: the rest is the agent's.
OPERATOR_FIELDS = ("uid", "pod", "node", "zone", "cluster", "end", "replaces", "drops_from", "drops_to")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultStatus(Record):
    """A Fault's status; no phase: its targets are not resolved yet."""

    phase: str | None = body_field(**WORD)
    until: str | None = body_field(**TIME)
    message: str | None = body_field(maxLength=bounds.MESSAGE_CHARACTERS)
    targets: tuple[TargetStatus, ...] | None = body_field(maxItems=bounds.TARGETS, **map_by("uid"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultHeader(Record):
    """A Fault without its spec: what can be known of one whose spec can't be read."""

    metadata: Metadata = body_field(required=True)
    status: FaultStatus | None = body_field()

    @property
    def status_or_empty(self) -> FaultStatus:
        """Its status; an empty one if it has none yet."""
        return self.status or FaultStatus()

    @property
    def targets(self) -> tuple[TargetStatus, ...]:
        """An entry for each pod that has a part in the fault."""
        return self.status_or_empty.targets or ()

    @property
    def has_finalizer(self) -> bool:
        """Whether it still has the lab's finalizer."""
        return names.FINALIZER in (self.metadata.finalizers or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(FaultHeader):
    """A Fault."""

    spec: FaultSpec = body_field(required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTarget(Record):
    """A Probe's spec.target: a cluster in its own namespace."""

    kind: str = body_field(required=True, **_KINDS)
    name: str = body_field(required=True, **_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels(Record):
    """A Probe's spec.levels, in the engine's words."""

    read: str | None = body_field(minLength=1, **WORD)
    write: str | None = body_field(minLength=1, **WORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings(Record):
    """A Probe's spec.client."""

    client_timestamps: bool = body_field(filled=True)
    speculative_delay_milliseconds: int | None = body_field(minimum=1, maximum=bounds.SPECULATIVE_MILLISECONDS)
    speculative_retry_milliseconds: int | None = body_field(minimum=1, maximum=bounds.SPECULATIVE_MILLISECONDS)
    read_routing: str | None = body_field(enum=READ_ROUTINGS)
    max_lag_bytes: int | None = body_field(minimum=0, maximum=1 << 40, **INT64)
    replica_wait_milliseconds: int | None = body_field(minimum=1, maximum=bounds.REPLICA_WAIT_MILLISECONDS)
    clock_skew_milliseconds: int | None = body_field(
        minimum=-bounds.CLOCK_SKEW_MILLISECONDS, maximum=bounds.CLOCK_SKEW_MILLISECONDS
    )
    skewed_vantages: tuple[str, ...] | None = body_field(minItems=1, maxItems=bounds.VANTAGES, items=ZONE, **SET)
    timeout_milliseconds: int | None = body_field(
        minimum=bounds.TIMEOUT_MILLISECONDS[0], maximum=bounds.TIMEOUT_MILLISECONDS[1]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings(Record):
    """A Probe's spec.cache."""

    store: str = body_field(required=True, **_NAME)
    protection: str = body_field(filled="none", enum=PROTECTIONS)
    keys: int = body_field(filled=20, minimum=1, maximum=bounds.CACHE_KEYS)
    exponent: float = body_field(filled=1, minimum=0, maximum=bounds.CACHE_EXPONENT)
    ttl_milliseconds: int = body_field(filled=10_000, **_MILLISECONDS)
    grace_milliseconds: int = body_field(filled=10_000, **_MILLISECONDS)
    load_milliseconds: int = body_field(filled=50, **_MILLISECONDS)
    places: int = body_field(filled=20, minimum=1, maximum=bounds.CACHE_PLACES)
    connections: int = body_field(filled=40, minimum=1, maximum=bounds.CACHE_CONNECTIONS)
    write_every: int = body_field(filled=100, minimum=1, maximum=bounds.CACHE_WRITE_EVERY)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionSettings(Record):
    """A Probe's spec.transactions. operations, keys: the most of one transaction; shares: in per cent."""

    model: str = body_field(filled=LIST_APPEND, enum=MODELS)
    operations: int = body_field(filled=4, minimum=1, maximum=bounds.TXN_OPERATIONS)
    keys: int = body_field(filled=2, minimum=1, maximum=bounds.TXN_KEYS)
    active_keys: int = body_field(filled=4, minimum=1, maximum=bounds.TXN_ACTIVE_KEYS)
    writes_per_key: int = body_field(filled=128, minimum=1, maximum=bounds.TXN_WRITES_PER_KEY)
    read_share: int = body_field(filled=50, minimum=0, maximum=100)
    skew_share: int = body_field(filled=0, minimum=0, maximum=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec(Record):
    """A Probe's spec; rate: operations a second of each vantage; no seconds: until stop."""

    target: ProbeTarget = body_field(required=True)
    workload: str = body_field(
        required=True,
        enum=(*WORKLOADS, CACHE, *SCANS),
    )
    rate: float = body_field(required=True, exclusiveMinimum=True, minimum=0, maximum=int(bounds.RATE))
    vantages: tuple[str, ...] = body_field(required=True, minItems=1, maxItems=bounds.VANTAGES, items=ZONE, **SET)
    routes: tuple[str, ...] = body_field(
        filled=DEFAULT_ROUTES,
        minItems=1,
        maxItems=4,
        items={**WORD, "enum": ROUTES},
        **SET,
    )
    levels: Levels | None = body_field()
    client: ClientSettings | None = body_field()
    cache: CacheSettings | None = body_field()
    transactions: TransactionSettings | None = body_field()
    seed: int = body_field(filled=0, **INT64)
    seconds: float | None = body_field(exclusiveMinimum=True, minimum=0, maximum=bounds.PROBE_SECONDS)
    run_id: str = body_field(required=True, pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", maxLength=100)
    stop: bool = body_field(filled=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageStatus(Record):
    """An entry of a Probe's status.vantages, which that vantage's prober writes."""

    name: str = body_field(required=True, **ZONE)
    phase: str | None = body_field(**WORD)
    operations: int | None = body_field(**INT64)
    since: str | None = body_field(**TIME)
    last_error: str | None = body_field(maxLength=bounds.MESSAGE_CHARACTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeStatus(Record):
    """A Probe's status."""

    vantages: tuple[VantageStatus, ...] | None = body_field(maxItems=bounds.VANTAGES, **map_by("name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Record):
    """A Probe."""

    metadata: Metadata = body_field(required=True)
    spec: ProbeSpec = body_field(required=True)
    status: ProbeStatus | None = body_field()

    @property
    def vantages(self) -> tuple[VantageStatus, ...]:
        """What its vantages have reported so far."""
        return (self.status and self.status.vantages) or ()

    @property
    def has_ended(self) -> bool:
        """Whether every vantage that has reported anything has ended; not while none has."""
        return bool(self.vantages) and all(vantage.phase in phases.PROBE_ENDED for vantage in self.vantages)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAddress(Record):
    """The part of a Probe's spec that says who runs it."""

    vantages: tuple[str, ...] = body_field(required=True)
    stop: bool = body_field(filled=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeHeader(Record):
    """What says whether a prober has to run a Probe, even if it can't read the rest."""

    metadata: Metadata = body_field(required=True)
    spec: ProbeAddress = body_field(required=True)
    status: ProbeStatus | None = body_field()

    def is_for(self, vantage: str) -> bool:
        """Whether it is to run at a vantage, or has run there already."""
        return not self.metadata.is_being_deleted and not self.spec.stop and vantage in self.spec.vantages

    def has_ended_at(self, vantage: str) -> bool:
        """Whether a vantage has reported its end there."""
        entries = (self.status and self.status.vantages) or ()
        return any(entry.name == vantage and entry.phase in phases.PROBE_ENDED for entry in entries)
