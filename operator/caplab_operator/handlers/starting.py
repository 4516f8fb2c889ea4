"""Reading why a cluster's members do not start."""

from __future__ import annotations

import datetime
import time

from caplab.contract.engines import name_for

from ..api import Api
from ..engines import starting
from ..engines.common import CAN_START
from ..engines.conditions import ConditionState
from ..engines.objects import of_cluster
from .watched import Key

_REREAD_SECONDS = 3.0  # between two reads: reading a log costs the node CPU time


class Starting:
    """The condition Startable of one cluster."""

    def __init__(self, api: Api, key: Key) -> None:
        self._api = api
        kind, self._namespace, name = key
        self._selector = of_cluster(name_for(kind), name)
        self._read: tuple[float, ConditionState] | None = None
        self._missing = ""  # the message about a pod that was missing the last time

    def why(self) -> ConditionState:
        """Return the condition Startable, which is read again every few seconds at most."""
        now = time.monotonic()
        if self._read is None or now - self._read[0] >= _REREAD_SECONDS:
            self._read = now, self._look()
        return self._read[1]

    def _look(self) -> ConditionState:
        pods = self._api.all_of("v1", "Pod", self._namespace, self._selector)
        sets = self._api.all_of("apps/v1", "StatefulSet", self._namespace, self._selector)
        trouble = starting.trouble_of(pods, sets, datetime.datetime.now(datetime.UTC))
        missing = trouble.text if trouble and trouble.reason == starting.NO_POD else ""
        is_new, self._missing = missing != self._missing, missing
        if trouble is None or (missing and is_new):
            return CAN_START
        return starting.conclude(trouble, self._answer(trouble.question) if trouble.question else "")

    def _answer(self, question: starting.Question) -> str:
        """Return the answer to a question in one line; '' if there is none."""
        try:
            if question.container:
                log = self._api.log_end(self._namespace, question.name, question.container, question.previous)
                return starting.last_line(log)
            return starting.latest_warning(self._api.warnings(self._namespace, question.kind, question.name))
        except Exception:  # the log of a container that was just removed: the next read gets another one
            return ""
