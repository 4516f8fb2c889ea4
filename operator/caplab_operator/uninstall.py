"""The chart's pre-delete hook: python3 -m caplab_operator.uninstall.

It heals faults first, then removes every object of the lab's kinds, while the operator and the agents
still run to do their part. An object that is not gone in time loses its finalizers, and is named:
an uninstall ends, whatever state the lab is in. A member that is kept down comes back by itself
when its fault's time is over (its image's run-member).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from caplab.contract import meta
from caplab.contract.engines import BY_KIND
from caplab.contract.names import API_VERSION, FAULT, PLURALS, PROBE, RUN
from caplab.kube.client import Body, Client
from caplab.kube.context import connect
from caplab.kube.errors import NotFound

# Faults go first, and what they break goes last.
KINDS = (FAULT, RUN, PROBE, *BY_KIND)
_BOUND_SECONDS = 20.0  # for each kind
_LOOK_SECONDS = 0.3


def strip(objects: Sequence[Body]) -> list[tuple[str, str, list[str]]]:
    """Return namespace, name and finalizers of the objects that have any, for the message that names them."""
    return [
        (meta.namespace_of(body), meta.name_of(body), list(body["metadata"]["finalizers"]))
        for body in objects
        if body["metadata"].get("finalizers")
    ]


class Uninstall:
    """One pass through all kinds; bound_seconds is how long each kind may take."""

    def __init__(self, client: Client, bound_seconds: float = _BOUND_SECONDS) -> None:
        self._client = client
        self._bound_seconds = bound_seconds

    def run(self) -> None:
        """Remove everything, and print what is done."""
        for kind in KINDS:
            objects = self._list(kind)
            if not objects:
                continue
            print(f"{PLURALS[kind]}: {len(objects)} to remove", flush=True)
            for body in objects:
                self._client.delete(API_VERSION, kind, meta.namespace_of(body), meta.name_of(body))
            if left := self._await_gone(kind):
                self._force(kind, left)

    def _list(self, kind: str) -> list[Body]:
        try:
            return self._client.list_all(API_VERSION, kind)
        except NotFound:  # the kind itself is not there
            return []

    def _await_gone(self, kind: str) -> list[Body]:
        end = time.monotonic() + self._bound_seconds
        while left := self._list(kind):
            if time.monotonic() > end:
                return left
            time.sleep(_LOOK_SECONDS)
        return []

    def _force(self, kind: str, left: Sequence[Body]) -> None:
        for namespace, name, finalizers in strip(left):
            print(f"{PLURALS[kind]} {namespace}/{name} was not gone within {self._bound_seconds:g} s:", flush=True)
            print(f"  removing its finalizers: {', '.join(finalizers)}", flush=True)
            with suppress(NotFound):
                self._client.merge(API_VERSION, kind, namespace, name, {"metadata": {"finalizers": None}})


if __name__ == "__main__":
    Uninstall(connect()).run()
    sys.exit(0)
