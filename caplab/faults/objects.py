"""Fault objects of every namespace, as read and deleted through the API server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from caplab.contract.names import API_VERSION, FAULT, FINALIZER
from caplab.contract.objects import Fault
from caplab.kube.client import Client
from caplab.kube.errors import Conflict, NotFound

from .rows import read_fault


class Objects:
    """Access to Fault objects. Calls block, with time-outs, and raise ApiError."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def all(self) -> Sequence[Fault]:
        """Return every Fault; none if the lab is not installed."""
        try:
            return [read_fault(body) for body in self._client.list_all(API_VERSION, FAULT)]
        except NotFound:
            return []

    def delete(self, fault: Fault) -> None:
        """Delete a Fault, which ends it; a missing one is no error."""
        metadata = fault.metadata
        self._client.delete(API_VERSION, FAULT, metadata.namespace or "", metadata.name, uid=metadata.uid or "")

    def release(self, fault: Fault) -> None:
        """Remove the operator's finalizer, if the Fault has not changed since it was read."""
        metadata = fault.metadata
        others = [name for name in metadata.finalizers or () if name != FINALIZER]
        patch = {"metadata": {"resourceVersion": metadata.resource_version, "finalizers": others or None}}
        with suppress(NotFound, Conflict):  # if it has changed, it is read again
            self._client.merge(API_VERSION, FAULT, metadata.namespace or "", metadata.name, patch)
