"""Every workload on one cluster in the steady state, and each checker's findings on its part of the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from caplab_cluster.kind_cluster import ZONES
from pyarrow import compute as pc  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.check import Context, Finding, State, check_history
from caplab.model.history import Table
from caplab.model.transactions import TXN
from support.kind.kind_lab import Lab
from support.kind.measured_load import record

RATE = 12.0  # operations a second for each zone and probe: two cores can do them all
SECONDS, LONGER_SECONDS = 6.0, 20.0
AT_ONCE = 5
LEAST_TRANSACTIONS = 20
ROUTINGS = ("plain", "read-your-writes", "monotonic", "lag-aware", "causal")

Probes = list[dict[str, Any]]


def _probe(name: str, workload: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "workload": workload, "rate": RATE, "routes": ["service"], **more}


def _everywhere(**levels: Any) -> Probes:
    return [_probe(name, name, **levels) for name in ("register", "register-multi", "counter", "cas", "ids")]


def _postgres() -> Probes:
    routed = [
        _probe(f"routed-{routing}", "register", routes=["service", "replica"], client={"readRouting": routing})
        for routing in ROUTINGS
    ]
    return [*_everywhere(), *routed]


def _redis() -> Probes:
    transactions = [_probe(f"txn-{level}", TXN, levels={"read": level, "write": level}) for level in ("watch", "multi")]
    return [*_everywhere(), _probe("replicas", "register", routes=["service", "replica"]), *transactions]


def _cassandra() -> Probes:
    serial = {"levels": {"read": "SERIAL", "write": "SERIAL"}}
    quorum = {"levels": {"read": "QUORUM", "write": "QUORUM"}}
    return [
        _probe("register", "register", **quorum),
        _probe("register-multi", "register-multi", **serial),
        _probe("counter", "counter", **quorum),
        _probe("cas", "cas", **serial),
        _probe("ids", "ids", levels={"write": "SERIAL"}),
        _probe("txn-serial", TXN, **serial),
    ]


PROBES: Mapping[str, Probes] = {
    "PostgresCluster": _postgres(),
    "RedisCluster": _redis(),
    "CassandraCluster": _cassandra(),
}
# The checkers that a probe's own part must satisfy.
JUDGED: Mapping[str, tuple[str, ...]] = {
    "register": ("registers", "staleness", "sessions"),
    "register-multi": ("registers",),
    "counter": ("counters",),
    "cas": ("registers",),
    "ids": ("ids",),
    "routed-read-your-writes": ("sessions",),
    "routed-monotonic": ("sessions",),
    "routed-causal": ("sessions", "staleness"),
    **dict.fromkeys(("txn-watch", "txn-multi", "txn-serial"), ("isolation",)),
}
_SERIALIZABLE = ("g0", "g1a", "g1b", "g1c", "incompatible_orders", "lost_updates", "g_single", "long_fork", "g2_item")
# What a probe promises to be 0: of a routing, its own session guarantees; of serializable transactions, all anomalies.
PROMISED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("txn-watch", "txn-multi", "txn-serial"), _SERIALIZABLE),
    "routed-read-your-writes": ("read_your_writes",),
    "routed-monotonic": ("monotonic_reads",),
}


def part_of(history: Table, probe: str) -> Table:
    """Return the rows of one probe, whose keys contain its name with the run's own ending."""
    if probe.startswith(TXN):  # a transaction has no key of its own, but its level tells its probe
        level = probe.removeprefix(f"{TXN}-")
        return history.filter(
            pc.and_(
                pc.equal(history.column("op"), TXN),
                pc.equal(pc.utf8_lower(history.column("level").cast("string")), level),
            )
        )
    ours = pc.match_substring_regex(history.column("key").cast("string"), f"^[0-9a-f]{{7}}/{probe}-[0-9a-f]+(/|$)")
    return history.filter(pc.fill_null(ours, fill_value=False))


def findings_of(lab: Lab, kind: str, namespace: str, name: str) -> dict[str, dict[str, Finding]]:
    """Return findings by probe and checker; only a few probes run at once, since each adds a client to every zone.

    A probe that did too little for a finding, as on a slow machine, runs once more, alone and for longer.
    """
    by_probe: dict[str, dict[str, Finding]] = {}
    for probes in batched(PROBES[kind], AT_ONCE):
        history = record(lab, kind, namespace, name, probes, SECONDS, ZONES)
        by_probe |= {probe["name"]: _findings(history, probe) for probe in probes}
    for probe in PROBES[kind]:
        if any(finding.state is State.UNKNOWN for finding in by_probe[probe["name"]].values()):
            history = record(lab, kind, namespace, name, [probe], LONGER_SECONDS, ZONES)
            by_probe[probe["name"]] = _findings(history, probe)
    return by_probe


def _findings(history: Table, probe: Mapping[str, Any]) -> dict[str, Finding]:
    judged = JUDGED.get(probe["name"], ("registers",))
    findings = check_history(part_of(history, probe["name"]), Context(), judged)
    return {finding.property: finding for finding in findings}


def batched(probes: Probes, size: int) -> Iterator[Probes]:
    """Split items into batches of so many."""
    for begin in range(0, len(probes), size):
        yield probes[begin : begin + size]


def assert_promises_are_kept(lab: Lab, kind: str, namespace: str, name: str) -> None:
    """Run every workload and read routing on a cluster in its steady state, and print and check each finding."""
    broken = []
    for probe, findings in findings_of(lab, kind, namespace, name).items():
        for checker, finding in findings.items():
            print(sentence := f"{kind} {probe}: {checker} {finding.state.value}: {finding.reason}")
            broken += [] if _is_kept(probe, finding) else [sentence]
    assert broken == []


def _is_kept(probe: str, finding: Finding) -> bool:
    if probe in PROMISED:
        counted = [finding.figures.get(name) for name in PROMISED[probe]]
        transactions = finding.figures.get("transactions", LEAST_TRANSACTIONS)
        assert isinstance(transactions, int)
        if transactions < LEAST_TRANSACTIONS:
            return False
        return finding.state is not State.UNKNOWN and set(counted) == {0}
    return probe not in JUDGED or finding.state is State.HOLDS
