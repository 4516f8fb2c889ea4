"""Proven deaths of members: each is decided once, at once, and the dead member's gate opens when it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from caplab.contract import meta
from caplab.contract.deaths import Death
from caplab.contract.names import DECIDED_ANNOTATION, ENGINE_LABEL
from caplab.kube.errors import ApiError

from ..api import Api

Body = Mapping[str, Any]
Decide = Callable[[Api, Body, Death, Sequence[Body]], str]  # with all members' pods; what came of it, for the log
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Deaths:
    """Decides each death in a thread of its own. deciders: by the engine's name."""

    api: Api
    deciders: Mapping[str, Decide]
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16, thread_name_prefix="death"))
    _begun: set[tuple[str, str]] = field(default_factory=set)  # the pod's uid and the container's id

    def on_pods(self, pods: Sequence[Body]) -> None:
        """Take in the list of all members' pods; a death that is new is decided."""
        begun = set()
        for pod in pods:
            death = Death.of(pod)
            if death is None or meta.annotations_of(pod).get(DECIDED_ANNOTATION) == death.container_id:
                continue
            if meta.is_being_deleted(pod):  # it was to go, and has handed over before, if there was anybody
                continue
            key = (meta.uid_of(pod), death.container_id)
            begun.add(key)
            if key not in self._begun:
                self.threads.submit(self._decide, pod, death, pods)
        self._begun = begun

    def _decide(self, pod: Body, death: Death, pods: Sequence[Body]) -> None:
        began = time.monotonic()
        names = meta.namespace_of(pod), meta.name_of(pod)
        decide = self.deciders.get(meta.labels_of(pod).get(ENGINE_LABEL, ""))
        try:
            outcome = decide(self.api, pod, death, pods) if decide else "its engine has no fast path"
        except ApiError as error:  # the engine's own failover goes on
            outcome = f"undecided: {error}"
        late = time.time() - death.unix_ns / 1e9
        _log.info("%s/%s died: %s, %.3f s after it (%.3f s here)", *names, outcome, late, time.monotonic() - began)
        try:
            self.api.annotate_pod(*names, meta.uid_of(pod), {DECIDED_ANNOTATION: death.container_id})
        except ApiError as error:  # the gate opens by itself
            _log.warning("%s/%s: that it is decided could not be noted: %s", *names, error)
