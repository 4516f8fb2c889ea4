"""The cluster of an experiment, brought to the settings it asks for and to a proven calm."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caplab.model.fields import Json

from ..server import Body, ExecFailed, Server
from ..waiting import NotInTime, until
from . import standing
from .engines import Engine

_GONE_SECONDS = 120.0
_BACK_SECONDS = 90.0  # for a cluster that was there before to be steady again
_log = logging.getLogger("caplab.run")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster that an experiment names: kind, name and spec, in the run's namespace."""

    server: Server
    engine: Engine
    namespace: str
    name: str
    spec: Mapping[str, Any]

    def body(self) -> Body:
        """The object as it is now; LookupError where it is gone."""
        found = self._found()
        if found is None:
            raise LookupError(f"{self.engine.KIND} {self.namespace}/{self.name} is not there any more.")
        return found

    def bring_up(self) -> tuple[Body, dict[str, Json]]:
        """Apply its spec and wait until it is Ready, caught up and as it was asked for; its settings in force.

        Members that a fault has restarted are made anew first: kubelet makes each restart wait longer than
        the one before, and repeats would not be equal. A cluster that does not come back from an earlier run is made
        anew as a whole: its next runs are not to pay for that.
        """
        self.server.open_namespace(self.namespace)
        try:
            self._come_up(_BACK_SECONDS if self._found() else self.engine.READY_SECONDS)
        except NotInTime as late:
            _log.warning("%s It is made anew.", late)
            self.delete()
            self.await_gone()
            self._come_up(self.engine.READY_SECONDS)
        until("its settings are in force", lambda: "; ".join(self._differences()), self.engine.READY_SECONDS)
        body = self.body()
        return body, self.settings(body)

    def await_ready(self) -> float:
        """Wait until the operator says that it is Ready; seconds."""
        return until(f"{self.name} is Ready", self._not_ready, self.engine.READY_SECONDS)

    def _come_up(self, seconds: float) -> None:
        """Apply its spec; each of the steps to a proven calm is given so many seconds. NotInTime."""
        self.server.apply(self.engine.KIND, self.namespace, self.name, self.spec)
        self.await_ready()
        for pod in self._restarted():
            self._renew(pod)
        until(f"{self.name} is steady", self.not_steady, seconds)

    def delete(self) -> None:
        """Have it removed."""
        self.server.delete(self.engine.KIND, self.namespace, self.name)

    def await_gone(self) -> None:
        """Wait until its members and their volumes are gone; NotInTime."""

        def left() -> str:
            what = standing.selector(self.name)
            there = [*self.server.pods(self.namespace, what), *self.server.volumes(self.namespace, what)]
            return ", ".join(one.metadata.name for one in there)

        until(f"{self.name} is gone", left, _GONE_SECONDS)

    def not_steady(self) -> str:
        """Why it is not in its steady state; '' where it is: Ready, and its members have what was written by now."""
        return self._not_ready() or self.engine.not_caught_up(self.server, self.namespace, self.body())

    def settings(self, body: Body) -> dict[str, Json]:
        """The settings in force."""
        return self.engine.settings_in_force(self.server, self.namespace, body)

    def members(self) -> Sequence[Any]:
        """The pods of its members."""
        return self.server.pods(self.namespace, standing.selector(self.name))

    def _found(self) -> Body | None:
        return self.server.get(self.engine.KIND, self.namespace, self.name)

    def _not_ready(self) -> str:
        body = self._found()
        if body is None:
            return "there is no such cluster"
        return standing.not_ready(body) or self.engine.not_ready(body)

    def _differences(self) -> list[str]:
        body = self.body()
        if self.engine.HAS_PRIMARY and "primary" not in body["status"]:
            return ["there is no primary"]
        try:
            return self.engine.differences(body["spec"], self.settings(body))
        except ExecFailed as error:  # the primary has just become another one; a member starts
            return [str(error)]

    def _restarted(self) -> list[Any]:
        return [pod for pod in self.members() if any(one.restart_count for one in pod.status.container_statuses or ())]

    def _renew(self, pod: Any) -> None:
        """Delete a member's pod and wait for its successor to be one of the cluster again; its volume stays."""
        name, uid = pod.metadata.name, pod.metadata.uid
        self.server.delete_pod(self.namespace, name)

        def still_there() -> str:
            new = any(pod.metadata.name == name and pod.metadata.uid != uid for pod in self.members())
            return "" if new else "the old one is left"

        until(f"{name} is made anew", still_there, _GONE_SECONDS)
        # The operator's status may be a round behind: what counts is that the member follows again.
        until(f"{self.name} is steady again", self.not_steady, self.engine.READY_SECONDS)
