"""PostgresCluster: applied when its spec changes, observed all the time."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..api import Api, now
from ..engines import objects
from ..engines.postgres import manifests, observe, patroni, status
from ..engines.postgres.spec import PostgresSpec, parse
from ..faults.targets import Roles
from ..settings import LAB_NAMESPACE_VARIABLE
from .applied import ensure_secrets
from .pods import pods_of

IMAGE_VARIABLE = "CAPLAB_IMAGE_POSTGRES"
_LEADER_ANNOTATION = "leader"  # Patroni's, on the Endpoints that carry the lock

_log = logging.getLogger(__name__)


def reconcile(api: Api, body: Mapping[str, Any]) -> None:
    """Make the cluster's objects what its spec asks for."""
    spec = parse(body)
    ensure_secrets(api, partial(manifests.secrets, spec))
    api.apply(manifests.member_role(spec))
    binding_uid = api.apply(manifests.role_binding(spec))
    image, lab_namespace = os.environ[IMAGE_VARIABLE], os.environ[LAB_NAMESPACE_VARIABLE]
    for manifest in manifests.build(spec, image, lab_namespace, binding_uid):
        api.apply(manifest)


def roles(api: Api, namespace: str, cluster: str, listed: Callable[[], object]) -> Roles:
    """The primary is who holds the leader object; nobody has to be asked for that."""
    return Roles(primary=_leader(api, namespace, cluster))


def watch_over(api: Api, body: Mapping[str, Any], before: Mapping[str, Any], hit: Mapping[str, str]) -> dict[str, Any]:
    """Look at a running cluster, mend its settings, and return its status.

    hit names the fault that each member under one is under.
    """
    spec = parse(body)
    pods = pods_of(api, spec.namespace, objects.part(spec))
    seen = observe.look(pods, _leader(api, spec.namespace, spec.name))
    _mend_settings(api, spec, seen)
    return status.build(spec, seen, before, now(), hit)


def _leader(api: Api, namespace: str, cluster: str) -> str | None:
    endpoints = api.get("v1", "Endpoints", namespace, manifests.scope(cluster))
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
    password = api.secret(spec.namespace, objects.secret_name(spec.name)).get("patroni", "")
    try:
        observe.change_config(address, password, patch)
        _log.info("settings of %s/%s changed: %s", spec.namespace, spec.name, patch)
    except OSError as error:
        _log.warning("settings of %s/%s not changed yet: %s", spec.namespace, spec.name, error)
