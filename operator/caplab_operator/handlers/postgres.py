"""PostgresCluster: applied when its spec changes, observed all the time."""

from __future__ import annotations

import datetime
import logging
import os
import secrets
from collections.abc import Mapping
from typing import Any

from ..api import Api
from ..engines.postgres import manifests, observe, patroni, status
from ..engines.postgres.spec import PostgresSpec, parse

IMAGE_VARIABLE = "CAPLAB_IMAGE_POSTGRES"
NAMESPACE_VARIABLE = "CAPLAB_NAMESPACE"  # where the operator and the probers run
_LEADER_ANNOTATION = "leader"  # Patroni's, on the Endpoints that carry the lock

_log = logging.getLogger(__name__)


def reconcile(api: Api, body: Mapping[str, Any]) -> None:
    """Make the cluster's objects what its spec asks for."""
    spec = parse(body)
    for secret in manifests.secrets(spec, lambda: secrets.token_urlsafe(24)):
        api.create_if_absent(secret)
    for manifest in manifests.build(spec, os.environ[IMAGE_VARIABLE], os.environ[NAMESPACE_VARIABLE]):
        api.apply(manifest)


def watch_over(api: Api, body: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Look at a running cluster, mend its settings, and write its status if it changed; the status."""
    spec = parse(body)
    seen = observe.look(_pods(api, spec), _leader(api, spec))
    _mend_settings(api, spec, seen)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    found = status.build(spec, seen, before, now)
    if found != before:
        api.apply_status(body, found)
    return found


def _pods(api: Api, spec: PostgresSpec) -> list[observe.MemberPod]:
    return [
        observe.MemberPod(
            pod["metadata"]["name"],
            api.zone_of(pod["spec"]["nodeName"]) if pod["spec"].get("nodeName") else "",
            pod.get("status", {}).get("podIP"),
        )
        for pod in api.pods(spec.namespace, manifests.labels(spec))
    ]


def _leader(api: Api, spec: PostgresSpec) -> str | None:
    endpoints = api.get("v1", "Endpoints", spec.namespace, manifests.scope(spec))
    annotations = ((endpoints or {}).get("metadata") or {}).get("annotations") or {}
    return annotations.get(_LEADER_ANNOTATION)


def _mend_settings(api: Api, spec: PostgresSpec, seen: observe.Seen) -> None:
    """Change what differs from the spec; a member that does not take it is asked again next time."""
    if seen.config is None:
        return
    patch = patroni.drift(patroni.dynamic_settings(spec), seen.config)
    address = next((pod.address for pod in seen.pods if pod.name in seen.answers and pod.address), None)
    if not patch or address is None:
        return
    password = api.secret(spec.namespace, manifests.secret_name(spec)).get("patroni", "")
    try:
        observe.change_config(address, password, patch)
        _log.info("settings of %s/%s changed: %s", spec.namespace, spec.name, patch)
    except OSError as error:
        _log.warning("settings of %s/%s not changed yet: %s", spec.namespace, spec.name, error)
