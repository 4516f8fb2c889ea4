"""What each engine can do for a run. A new engine is a module here and its entry in MODULES."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from chaoslib.exceptions import ActivityFailed

from caplab.contract.engines import BY_KIND, BY_NAME, Engine, complete
from caplab.kube.client import Body
from caplab.model.fields import Json
from caplab.model.runs import FirstCommit
from caplab.run_context import RunContext

from ..server import Server
from . import cassandra, postgres, redis


class EngineModule(Protocol):
    """An engine's module. body: a cluster's present object. Functions that ask members raise ExecFailed."""

    ENGINE: Engine  # without a primary there is no second clock either
    READY_SECONDS: float  # the time limit for a new cluster, or a recreated member
    SCAN_ROUTES: Sequence[str]  # of the final scan, if every member has every key
    LEVELS: Mapping[str, Sequence[str]]  # read and write: what a load may request beyond the cluster's own settings

    def settings_in_force(self, server: Server, namespace: str, body: Body) -> dict[str, Json]:
        """Read the settings of the running cluster, by the names of its spec, and serverVersion.

        If the engine has a primary, the cluster must have one. If its parts give different values for a name, its
        value is a mapping with the value of each.
        """

    def differences(self, spec: Mapping[str, Json], in_force: Mapping[str, Json]) -> list[str]:
        """Return a sentence for each setting of a spec that is not in force: pure."""

    def not_ready(self, body: Body) -> str:
        """Return how a Ready cluster falls short of its spec, by its own status; '' if it does not: pure."""

    def not_caught_up(self, server: Server, namespace: str, body: Body) -> str:
        """Return which members lack something that was written by now; '' if none does. Raises nothing."""

    def switch_over(self, server: Server, namespace: str, body: Body) -> None:
        """Have the cluster hand the primary's role to a replica. Never called if there is no primary."""

    def first_commit(self, server: Server, namespace: str, body: Body, before: str, run_id: str) -> FirstCommit | None:
        """Find the first beat of the epoch that followed `before`, by the server's own stamp; None if there is none.

        run_id: of the load that beats. Never called if there is no primary.
        """


MODULES: Mapping[Engine, EngineModule] = complete(
    __name__, {module.ENGINE: module for module in (postgres, redis, cassandra)}
)


def scan_routes(engine: EngineModule, spec: Mapping[str, Any]) -> list[str]:
    """Return the routes of the final scan of a cluster of this spec: pure.

    If replicationFactor is below replicas, no member has every key: then direct is left out.
    """
    whole = spec.get("replicationFactor", spec["replicas"]) >= spec["replicas"]
    return [route for route in engine.SCAN_ROUTES if whole or route != "direct"]


def engine_named(name: str) -> EngineModule:
    """Return the engine of a name, as rows give it. Raises LookupError, which lists the engines."""
    if name not in BY_NAME:
        raise LookupError(f"There is no engine '{name}'. Hint: use one of {', '.join(BY_NAME)}.")
    return MODULES[BY_NAME[name]]


def engine_for_kind(run: RunContext, kind: str = "") -> EngineModule:
    """Return the engine that a step means: of the kind it names, else of its run. Raises ActivityFailed."""
    wanted = kind or run.kind
    if wanted in BY_KIND:
        return MODULES[BY_KIND[wanted]]
    problem = f"There are no clusters of kind '{wanted}'" if wanted else "No run with a cluster is under way"
    raise ActivityFailed(f"{problem}. Hint: give the step the argument kind, one of {', '.join(BY_KIND)}.")
