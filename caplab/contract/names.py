"""Names at the API server: the lab's group and kinds, and the labels, annotations and schema ids that begin with it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .engines import ENGINES

GROUP, VERSION = "caplab.dev", "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
PREFIX = f"{GROUP}/"  # of every label and annotation of the lab

FAULT, PROBE, RUN = "Fault", "Probe", "Run"

# The resources that the API server serves, by the kind.
PLURALS: Mapping[str, str] = MappingProxyType(
    {FAULT: "faults", PROBE: "probes", RUN: "runs", **{engine.kind: engine.plural for engine in ENGINES}}
)

# Labels of what belongs to a cluster. Its pods carry all of the first three.
ENGINE_LABEL, CLUSTER_LABEL, PART_LABEL = f"{PREFIX}engine", f"{PREFIX}cluster", f"{PREFIX}part"
MEMBER, SENTINEL, EXPORTER = "member", "sentinel", "exporter"  # parts
ROLE_LABEL = f"{PREFIX}role"  # primary or replica, as Patroni labels members
# Of a member whose death is decided at once: for how many seconds its next container waits for that at its start gate.
FAST_PATH_LABEL = f"{PREFIX}fast-path"
FENCE_ANNOTATION = f"{PREFIX}fence"  # of a member's pod: its agent is to end this container
SUSPECT_ANNOTATION = f"{PREFIX}suspect"  # of a primary's pod: the renewal of its lock that has got old
HOLD_ANNOTATION = f"{PREFIX}hold"  # of a dead member's pod: the container whose successor waits for longer
DECIDED_ANNOTATION = f"{PREFIX}decided"  # of its pod: the container after whose death it is decided who leads
SCOPE_LABEL = f"{PREFIX}scope"  # by which Patroni finds its objects

VANTAGE_LABEL = f"{PREFIX}vantage"  # of a prober: its zone
RUN_LABEL, SESSION_LABEL = f"{PREFIX}run", f"{PREFIX}session"  # of what a run made: the run, and its suite's session

# Labels of namespaces: what is allowed in them, or to the pods in them.
CLUSTERS_LABEL = f"{PREFIX}clusters"  # clusters
CHAOS_LABEL = f"{PREFIX}chaos"  # faults, and clusters too
CLIENTS_LABEL = f"{PREFIX}clients"  # to be clients of clusters in other namespaces
MONITORING_LABEL = f"{PREFIX}monitoring"  # to scrape clusters' metrics
ALLOWED = "allowed"

APP_LABEL = "app.kubernetes.io/name"  # of the pods of the lab itself, which has the following
OPERATOR, AGENT, PROBER, PROMETHEUS = "caplab-operator", "caplab-agent", "caplab-prober", "caplab-prometheus"
SYSTEM_NAMESPACE = "caplab-system"  # where the chart puts them
ZONE_LABEL = "topology.kubernetes.io/zone"  # of a node

ROOT_KEY_ANNOTATION = f"{PREFIX}root-key"  # of Secrets and volumes: the fingerprint of their passwords' root key
FILES_ANNOTATION = f"{PREFIX}files"  # of a member's pod: the files that it was given last
RESTART_ANNOTATION = f"{PREFIX}restart"  # of a member's pod: another value restarts it
LOGIN_ANNOTATION = f"{PREFIX}login"  # of an exporter's pod: another login, or other settings, restart it
GENERATION_ANNOTATION = f"{PREFIX}generation"  # of the members' StatefulSet: the generation of the spec it was made for
SETTLED_ANNOTATION = f"{PREFIX}settled"  # of Cassandra's StatefulSet: the members whose ring was cleaned up

# The operator's, on a Fault until nothing is under it any more.
FINALIZER = f"{PREFIX}heal"

VERDICT_SCHEMA, FINDINGS_SCHEMA = f"{PREFIX}verdict/v1", f"{PREFIX}findings/v1"
COMPARE_SCHEMA = f"{PREFIX}compare/v1"
