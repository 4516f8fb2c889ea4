"""Fault objects of every namespace, as read and deleted through the API server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kubernetes import client

from caplab.contract.names import FAULT, FINALIZER, GROUP, PLURALS, VERSION
from caplab.contract.objects import Fault

from .rows import read_fault

_PLURAL = PLURALS[FAULT]
_TIMEOUT = (5, 10)  # seconds: to connect, to answer
_MERGE = "application/merge-patch+json"


class Objects:
    """Access to Fault objects. Calls block, with time-outs. Raises kubernetes' ApiException, and urllib3's errors."""

    def __init__(self, api: client.ApiClient) -> None:
        self._custom: Any = client.CustomObjectsApi(api)  # Any: the client types free objects as object

    def all(self) -> Sequence[Fault]:
        """Return every Fault; none if the lab is not installed."""
        try:
            listed = self._custom.list_cluster_custom_object(GROUP, VERSION, _PLURAL, _request_timeout=_TIMEOUT)
        except client.ApiException as error:
            if error.status == 404:
                return []
            raise
        return [read_fault(body) for body in listed["items"]]

    def delete(self, fault: Fault) -> None:
        """Delete a Fault, which ends it; a missing one is no error."""
        metadata = fault.metadata
        only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": metadata.uid}}
        try:
            self._custom.delete_namespaced_custom_object(
                GROUP, VERSION, metadata.namespace, _PLURAL, metadata.name,
                body=only, _request_timeout=_TIMEOUT,
            )  # fmt: skip
        except client.ApiException as error:
            if error.status not in (404, 409):  # 409: another object has its name now
                raise

    def release(self, fault: Fault) -> None:
        """Remove the operator's finalizer, if the Fault has not changed since it was read."""
        metadata = fault.metadata
        others = [name for name in metadata.finalizers or () if name != FINALIZER]
        body = {"metadata": {"resourceVersion": metadata.resource_version, "finalizers": others or None}}
        try:
            self._custom.patch_namespaced_custom_object(
                GROUP, VERSION, metadata.namespace, _PLURAL, metadata.name, body,
                _content_type=_MERGE, _request_timeout=_TIMEOUT,
            )  # fmt: skip
        except client.ApiException as error:
            if error.status not in (404, 409):  # 409: it has changed, and is read again
                raise


def reason_of(error: Exception) -> str:
    """Return the reason of an error in one line, in the API server's own words if it has some."""
    if isinstance(error, client.ApiException):
        try:
            return str(json.loads(error.body or "")["message"])
        except (ValueError, KeyError, TypeError):
            return f"{error.status} {error.reason}"
    return " ".join(str(error).split())[:300]
