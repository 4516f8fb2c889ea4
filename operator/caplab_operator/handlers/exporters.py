"""Clusters' exporters: kept up to date, or removed if the lab has none. Nothing waits for them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from caplab.contract import meta
from caplab.kube.errors import reason_of

from ..api import Api
from ..engines.cluster import Cluster
from ..engines.exporter import LOGIN, Exporter, build
from ..engines.ownership import ForeignObject
from ..engines.passwords import Passwords
from ..settings import LAB_NAMESPACE_VARIABLE, exporters_enabled

_log = logging.getLogger(__name__)

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exporting:
    """An engine's exporter, and the parser of its kind's objects."""

    parse: Callable[[Body], Cluster]
    exporter: Exporter


def password(api: Api, cluster: Cluster) -> str:
    """Return the exporter's password for members; '' if the lab has no exporters.

    It is always derived, even if the cluster's other passwords are not: members get it from the operator at any time.
    """
    return Passwords(cluster, api.root_key.value())(LOGIN) if exporters_enabled() else ""


def keep(api: Api, exporting: Exporting, body: Body) -> str:
    """Make or remove a cluster's exporter. Returns what prevented that, '' if nothing did."""
    cluster = exporting.parse(body)
    try:
        (_apply if exporters_enabled() else _remove)(api, cluster, exporting.exporter)
    except ForeignObject as error:
        return f"it has no exporter: {error.named[0]} has its name. Hint: remove or rename that, or rename the cluster."
    except Exception as error:  # a cluster without metrics is a cluster all the same
        return f"its exporter is not up to date yet: {reason_of(error)}"
    return ""


def _apply(api: Api, cluster: Cluster, exporter: Exporter) -> None:
    derived = Passwords(cluster, api.root_key.value())
    image, lab_namespace = os.environ[cluster.ENGINE.exporter_variable], os.environ[LAB_NAMESPACE_VARIABLE]
    manifests = build(cluster, exporter, image, lab_namespace, derived(LOGIN), derived.root)
    changed = [manifest for manifest in manifests if not api.is_current(manifest)]
    for manifest in changed:
        api.look(manifest)  # checks all owners before anything is made
    for manifest in changed:
        api.apply(manifest)


def _remove(api: Api, cluster: Cluster, exporter: Exporter) -> None:
    """Remove an exporter, its pod first: without its Secret and policy it would be useless, and open to others."""
    for manifest in reversed(build(cluster, exporter, "", os.environ[LAB_NAMESPACE_VARIABLE], "", "")):
        if api.delete(manifest):
            name = meta.name_of(manifest)
            _log.info("%s %s/%s was removed: the lab has no exporters", manifest["kind"], cluster.namespace, name)
