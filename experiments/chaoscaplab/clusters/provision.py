"""Provision the cluster of an experiment: bring it to the requested settings and to a proven steady state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caplab.contract import meta
from caplab.kube.client import Body
from caplab.kube.errors import Conflict, ExecFailed
from caplab.model.fields import Json
from caplab.ownership import run_of

from ..server import NotOurs, Server
from ..waiting import NotInTime, wait_until
from . import cluster_status
from .engines import EngineModule

_GONE_SECONDS = 120.0
_TRIES = 10  # attempts to change an object that the operator changes too
_BACK_SECONDS = 90.0  # for a cluster of an earlier run to be steady again
_log = logging.getLogger("caplab.run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The cluster that an experiment names, in the run's namespace: its engine, name and spec."""

    server: Server
    engine: EngineModule
    namespace: str
    name: str
    spec: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The kind of its object."""
        return self.engine.ENGINE.kind

    def body(self) -> Body:
        """Read the object as it is now. Raises LookupError if it is gone."""
        body = self._read()
        if body is None:
            raise LookupError(f"{self.kind} {self.namespace}/{self.name} no longer exists.")
        return body

    def provision(self) -> tuple[Body, dict[str, Json]]:
        """Apply the spec and wait until the cluster is Ready, caught up and as requested.

        Returns the object, and the settings in force. Raises NotOurs, and changes nothing, if no run made the cluster.
        Members that a fault has restarted are recreated first: kubelet delays each restart longer than the one before,
        so repeats would differ. A cluster that does not recover from an earlier run is recreated as a whole, so that
        later runs do not suffer for it.
        """
        self.server.open_namespace(self.namespace)
        self.refuse_foreign()
        try:
            self._reach_steady_state(_BACK_SECONDS if self._read() else self.engine.READY_SECONDS)
        except NotInTime as late:
            _log.warning("%s It is recreated.", late)
            self.delete()
            self.await_gone()
            self._reach_steady_state(self.engine.READY_SECONDS)
        wait_until("its settings are in force", lambda: "; ".join(self._differences()), self.engine.READY_SECONDS)
        body = self.body()
        return body, self.settings(body)

    def await_ready(self) -> float:
        """Wait until the operator reports that it is Ready. Returns the seconds this took. Raises NotInTime."""
        return wait_until(f"{self.name} is Ready", self._not_ready, self.engine.READY_SECONDS)

    def _reach_steady_state(self, seconds: float) -> None:
        """Apply the spec and wait for a proven steady state, with this time limit for each step. Raises NotInTime."""
        self._ensure_object()
        self.await_ready()
        for pod in self._restarted_pods():
            self._recreate(pod)
        wait_until(f"{self.name} is steady", self.not_steady, seconds)

    def refuse_foreign(self) -> None:
        """Raise NotOurs if a cluster of this name exists that no run made: it must not be overwritten."""
        body = self._read()
        if body is not None and not run_of(body):
            raise self._foreign()

    def change(self, spec_of: Callable[[Body], Mapping[str, Any]]) -> Body:
        """Apply the spec and wait for a proven steady state, with this limit for each step. Raises NotInTime."""
        for _ in range(_TRIES):
            try:
                body = self.body()
                return self.server.replace(self.kind, body, spec_of(body))
            except Conflict:
                continue
        raise NotInTime(f"{self.kind} {self.namespace}/{self.name} is changed by others all the time.")

    def _ensure_object(self) -> None:
        """Create the object, or take over that of a run that is over."""
        body = self._read()
        if body is not None and meta.is_being_deleted(body):
            self.await_gone()
            body = None
        if body is None:
            self.server.run.suite_session.note_made(self.kind, self._create())
            return
        self.refuse_foreign()
        self.server.run.suite_session.note_reused(self.kind, self.change(self._own_spec))

    def _own_spec(self, body: Body) -> Mapping[str, Any]:
        if not run_of(body):
            raise self._foreign()
        return self.spec

    def _create(self) -> Body:
        try:
            return self.server.create(self.kind, self.namespace, self.name, self.spec)
        except Conflict as error:
            raise self._foreign() from error

    def _foreign(self) -> NotOurs:
        return NotOurs(
            f"{self.kind} {self.namespace}/{self.name} was made by no run, and is left as it is."
            " Hint: give the run a namespace of its own (--set namespace=NAME), or remove the cluster."
        )

    def delete(self) -> None:
        """Delete the object. Raises NotOurs if this run may not remove it."""
        if (body := self._read()) is not None:
            self.server.remove(self.kind, body)

    def await_gone(self) -> None:
        """Wait until it, its members and their volumes are gone. Raises NotInTime."""

        def left() -> str:
            what = cluster_status.selector(self.name)
            there = [*self.server.pods(self.namespace, what), *self.server.volumes(self.namespace, what)]
            names = [meta.name_of(item) for item in there]
            return ", ".join([*names, *([f"the {self.kind} itself"] if self._read() else [])])

        wait_until(f"{self.name} is gone", left, _GONE_SECONDS)

    def not_steady(self) -> str:
        """Return why it is not in its steady state (Ready, and members have all that was written); '' if it is."""
        return self._not_ready() or self.engine.not_caught_up(self.server, self.namespace, self.body())

    def settings(self, body: Body) -> dict[str, Json]:
        """Return the settings in force."""
        return self.engine.settings_in_force(self.server, self.namespace, body)

    def members(self) -> Sequence[Body]:
        """Return the pods of its members."""
        return self.server.pods(self.namespace, cluster_status.selector(self.name))

    def _read(self) -> Body | None:
        return self.server.get(self.kind, self.namespace, self.name)

    def _not_ready(self) -> str:
        body = self._read()
        if body is None:
            return "there is no such cluster"
        return cluster_status.not_ready(body) or self.engine.not_ready(body)

    def _differences(self) -> list[str]:
        body = self.body()
        if self.engine.ENGINE.has_primary and "primary" not in body["status"]:
            return ["there is no primary"]
        try:
            return self.engine.differences(body["spec"], self.settings(body))
        except ExecFailed as error:  # the primary has just changed, or a member is starting
            return [str(error)]

    def _restarted_pods(self) -> list[Body]:
        return [
            pod
            for pod in self.members()
            if any(container["restartCount"] for container in pod["status"].get("containerStatuses") or ())
        ]

    def _recreate(self, pod: Body) -> None:
        """Delete a member's pod and wait until its successor is part of the cluster again; its volume stays."""
        name, uid = meta.name_of(pod), meta.uid_of(pod)
        self.server.delete_pod(self.namespace, name, uid)

        def still_there() -> str:
            new = any(meta.name_of(pod) == name and meta.uid_of(pod) != uid for pod in self.members())
            return "" if new else "the old pod is still there"

        wait_until(f"{name} is recreated", still_there, _GONE_SECONDS)
        # The operator's status may be one pass behind: what counts is that the member follows again.
        wait_until(f"{self.name} is steady again", self.not_steady, self.engine.READY_SECONDS)
