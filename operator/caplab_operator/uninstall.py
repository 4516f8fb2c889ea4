"""The chart's pre-delete hook: python3 -m caplab_operator.uninstall.

It heals faults first, then removes every object of the lab's kinds, while the operator and the agents
still run to do their part. An object that is not gone in time loses its finalizers, and is named:
an uninstall ends, whatever state the lab is in. A member that is kept down comes back by itself
when its fault's time is over (its image's run-member).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes import client

from caplab.contract.engines import BY_KIND
from caplab.contract.names import FAULT, GROUP, PLURALS, PROBE, RUN, VERSION
from caplab.kube.context import connect

# Faults go first, and what they break goes last.
KINDS = tuple(PLURALS[kind] for kind in (FAULT, RUN, PROBE, *BY_KIND))
_BOUND_SECONDS = 20.0  # for each kind
_LOOK_SECONDS = 0.3
_TIMEOUT_SECONDS = 10

Body = Mapping[str, Any]


def strip(objects: Sequence[Body]) -> list[tuple[str, str, list[str]]]:
    """Return namespace, name and finalizers of the objects that have any, for the message that names them."""
    return [
        (body["metadata"]["namespace"], body["metadata"]["name"], list(body["metadata"]["finalizers"]))
        for body in objects
        if body["metadata"].get("finalizers")
    ]


class Uninstall:
    """One pass through all kinds; bound_seconds is how long each kind may take."""

    def __init__(self, api: client.ApiClient, bound_seconds: float = _BOUND_SECONDS) -> None:
        self._custom = client.CustomObjectsApi(api)
        self._bound_seconds = bound_seconds

    def run(self) -> None:
        """Remove everything, and print what is done."""
        for plural in KINDS:
            objects = self._list(plural)
            if not objects:
                continue
            print(f"{plural}: {len(objects)} to remove", flush=True)
            for body in objects:
                self._delete(plural, body)
            if left := self._await_gone(plural):
                self._force(plural, left)

    def _list(self, plural: str) -> list[Body]:
        try:
            listed = self._custom.list_cluster_custom_object(GROUP, VERSION, plural, _request_timeout=_TIMEOUT_SECONDS)
        except client.ApiException as error:
            if error.status == 404:  # the kind itself is not there
                return []
            raise
        items: list[Body] = listed["items"]  # type: ignore[index]  # the client types a free object as object
        return items

    def _delete(self, plural: str, body: Body) -> None:
        metadata = body["metadata"]
        try:
            self._custom.delete_namespaced_custom_object(
                GROUP, VERSION, metadata["namespace"], plural, metadata["name"], _request_timeout=_TIMEOUT_SECONDS
            )
        except client.ApiException as error:
            if error.status != 404:
                raise

    def _await_gone(self, plural: str) -> list[Body]:
        end = time.monotonic() + self._bound_seconds
        while left := self._list(plural):
            if time.monotonic() > end:
                return left
            time.sleep(_LOOK_SECONDS)
        return []

    def _force(self, plural: str, left: Sequence[Body]) -> None:
        for namespace, name, finalizers in strip(left):
            print(f"{plural} {namespace}/{name} was not gone within {self._bound_seconds:g} s:", flush=True)
            print(f"  removing its finalizers: {', '.join(finalizers)}", flush=True)
            try:
                self._custom.patch_namespaced_custom_object(
                    GROUP, VERSION, namespace, plural, name, {"metadata": {"finalizers": None}},
                    _content_type="application/merge-patch+json", _request_timeout=_TIMEOUT_SECONDS,
                )  # fmt: skip
            except client.ApiException as error:
                if error.status != 404:
                    raise


if __name__ == "__main__":
    Uninstall(connect()).run()
    sys.exit(0)
