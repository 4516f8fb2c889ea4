"""A CassandraCluster and observations of it, for the tests of its operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from caplab_operator.engines.cassandra import configuration
from caplab_operator.engines.cassandra.manifests import PersistedState
from caplab_operator.engines.cassandra.observe import Member, ObservedCassandra, Place, Work
from caplab_operator.engines.cassandra.ring import Ring
from caplab_operator.engines.cassandra.ring_state import ring_of
from caplab_operator.engines.cassandra.spec import CassandraSpec, Gossip, HintedHandoff, Operations, Timeouts
from caplab_operator.engines.cassandra.steps import Deployed
from caplab_operator.engines.pods import Pod

CRD = Path(__file__).parents[3] / "charts/caplab/templates/crds/cassandracluster.yaml"
SPEC = CassandraSpec(
    name="cs",
    namespace="demo",
    uid="u-1",
    generation=3,
    replicas=3,
    replication_factor=3,
    heap_bytes=320 * 2**20,
    phi_convict_threshold=5,
    commitlog_sync="periodic",
    commitlog_sync_period_milliseconds=1000,
    paxos_variant="v2",
    hinted_handoff=HintedHandoff(True, 10800, 1000),
    gossip=Gossip(500, 250, 5000),
    timeouts=Timeouts(800, 800, 800),
    operations=Operations("", ""),
    storage_size="1Gi",
    keep_volumes=False,
    memory_request="640Mi",
    cpu_request="100m",
    parameters={},
)
BODY: dict[str, Any] = {
    "kind": "CassandraCluster",
    "metadata": {"name": "cs", "namespace": "demo", "uid": "u-1", "generation": 3},
    "spec": {
        "replicas": 3,
        "replicationFactor": 3,
        "heap": "320Mi",
        "phiConvictThreshold": 5,
        "commitlogSync": "periodic",
        "commitlogSyncPeriodMilliseconds": 1000,
        "paxosVariant": "v2",
        "hintedHandoff": {"enabled": True, "windowSeconds": 10800, "flushPeriodMilliseconds": 1000},
        "gossip": {"settleMilliseconds": 500, "settleIntervalMilliseconds": 250, "ringDelayMilliseconds": 5000},
        "timeouts": {"readMilliseconds": 800, "writeMilliseconds": 800, "casMilliseconds": 800},
        "operations": {"repair": "", "restart": ""},
        "storage": {"size": "1Gi", "onDeletion": "Delete"},
        "resources": {"memoryRequest": "640Mi", "cpuRequest": "100m"},
        "parameters": {},
    },
}
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z"
ZONES = {"node-0": "a", "node-1": "b", "node-2": "c", "control-plane": ""}


def pod(number: int, **changes: Any) -> Pod:
    fields: dict[str, Any] = {
        "name": f"cs-{number}", "namespace": "demo", "uid": f"u-{number}", "node": f"node-{number}",
        "zone": "abcdefghi"[number], "address": address(number), "revision": "r1", "files": "", "ready": True,
        "terminating": False,
    }  # fmt: skip
    return Pod(**{**fields, **changes})


def address(number: int) -> str:
    return f"10.0.0.{number}"


def host(number: int) -> str:
    return f"h{number}"


PODS = tuple(pod(number) for number in range(3))
HOSTS = frozenset(map(host, range(3)))
CURRENT = Deployed(PersistedState(3, HOSTS), "r1", is_current=True)


def up(number: int, others: Sequence[int] = (0, 1, 2), down: Sequence[int] = (), **changes: Any) -> Member:
    """Make a running member that sees all others up, except those that are down."""
    member = Member(
        stage="running",
        mode="NORMAL",
        host_id=host(number),
        native=True,
        live=frozenset(address(other) for other in others if other not in down),
        host_ids={address(other): host(other) for other in others},
        owns={address(other): 1.0 for other in others},
        schemas={address(other): "s1" for other in others if other not in down},
        settings=configuration.settings(SPEC),
        application="",
    )
    return replace(member, **changes)


def leaving(number: int, state: str = "running", **changes: Any) -> Member:
    return up(number, mode="LEAVING", work=Work("decommission", f"cs-{number}", state), **changes)


WAITS = Member(stage="waiting", fresh=True)
STARTS = Member(stage="starting")


def observed(members: Mapping[int, Member | None] | None = None, pods: Sequence[Pod] = PODS) -> ObservedCassandra:
    """Make an observation of a healthy cluster; arguments replace an answer, None is silence."""
    answers = {f"cs-{number}": up(number) for number in range(3)}
    answers |= {f"cs-{number}": answer for number, answer in (members or {}).items()}  # type: ignore[misc]
    names = {member.name for member in pods}
    return ObservedCassandra(
        Place(tuple(pods), "pw"), {name: answer for name, answer in answers.items() if answer and name in names}
    )


def before(*numbers: int, **more: Any) -> dict[str, Any]:
    """Make a former status, with members whose host ids are known."""
    rows = [{"name": f"cs-{number}", "hostId": host(number), "address": address(number)} for number in numbers]
    return {"phase": "Ready", "members": rows, **more}


def ring(
    members: Mapping[int, Member | None] | None = None,
    pods: Sequence[Pod] = PODS,
    so_far: Mapping[str, Any] | None = None,
) -> Ring:
    return ring_of(observed(members, pods), before(0, 1, 2) if so_far is None else so_far)


def lost(number: int) -> dict[int, Member | None]:
    """Make a member that the others see down; the test sets its own answer."""
    return {other: up(other, down=[number]) for other in range(3) if other != number}
