"""The engines there are, and what each can do for a run; a further one is a module and its place in ENGINES."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from chaoslib.exceptions import ActivityFailed

from caplab.model.fields import Json
from caplab.model.runs import FirstCommit

from ..run_context import current_run
from ..server import Body, Server
from . import cassandra, postgres, redis


class Engine(Protocol):
    """A module for each engine. body is a cluster's object as it is now; what asks members raises ExecFailed."""

    KIND: str
    ENGINE: str
    HAS_PRIMARY: bool  # one member takes writes, in an epoch of its own: without it there is no second clock either
    READY_SECONDS: float  # what a new cluster, or a member that is made anew, is given
    SCAN_ROUTES: Sequence[str]  # of the final scan, where every member has every key
    LEVELS: Mapping[str, Sequence[str]]  # read and write: what a load may ask beyond the cluster's own settings

    def settings_in_force(self, server: Server, namespace: str, body: Body) -> dict[str, Json]:
        """What the running cluster says of itself, by the names of its spec, and serverVersion.

        It has a primary, if the engine has one. A name for which its parts say different things holds what each of
        them says.
        """

    def differences(self, spec: Mapping[str, Json], in_force: Mapping[str, Json]) -> list[str]:
        """What a spec asks for and is not in force: pure."""

    def not_ready(self, body: Body) -> str:
        """How a cluster that is Ready falls short of its spec by its own status; '' where it does not: pure."""

    def not_caught_up(self, server: Server, namespace: str, body: Body) -> str:
        """Which members do not have all that was written by now; '' where all have. Raises nothing."""

    def switch_over(self, server: Server, namespace: str, body: Body) -> None:
        """Have the cluster hand the primary's role to a replica. Never asked where there is no primary."""

    def first_commit(self, server: Server, namespace: str, body: Body, before: str, run_id: str) -> FirstCommit | None:
        """The first beat of the epoch that followed the one before, by the server's own stamp; None: there is none.

        run_id is that of the load that beats. Never asked where there is no primary.
        """


ENGINES: tuple[Engine, ...] = (postgres, redis, cassandra)


def scan_routes(engine: Engine, spec: Mapping[str, Any]) -> list[str]:
    """The routes of the final scan of a cluster of this spec: pure.

    Where members do not have every key (their replicationFactor is below replicas), no own copy is whole: not direct.
    """
    whole = spec.get("replicationFactor", spec["replicas"]) >= spec["replicas"]
    return [route for route in engine.SCAN_ROUTES if whole or route != "direct"]


def engine_named(engine: str) -> Engine:
    """The engine of a name, as a row has it; LookupError with those there are."""
    for candidate in ENGINES:
        if engine == candidate.ENGINE:
            return candidate
    raise LookupError(
        f"There is no engine '{engine}'. Hint: use one of {', '.join(candidate.ENGINE for candidate in ENGINES)}."
    )


def engine_for_kind(kind: str = "") -> Engine:
    """The engine that a step means: that of the kind it names, else that of the run under way. ActivityFailed."""
    wanted = kind or current_run().kind
    for candidate in ENGINES:
        if wanted == candidate.KIND:
            return candidate
    kinds = ", ".join(candidate.KIND for candidate in ENGINES)
    problem = f"There are no clusters of kind '{wanted}'" if wanted else "No run is under way that has a cluster"
    raise ActivityFailed(f"{problem}. Hint: give the step the argument kind, one of {kinds}.")
