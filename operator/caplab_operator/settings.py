"""kopf's settings, each with its reason."""

from __future__ import annotations

import logging
import os

import kopf

from caplab.contract.names import GROUP

LAB_NAMESPACE_VARIABLE = "CAPLAB_NAMESPACE"  # where the operator and the probers run
EXPORTERS_VARIABLE = "CAPLAB_EXPORTERS"  # whether clusters have exporters: charts/caplab/values.yaml, exporters.enabled


def exporters_enabled() -> bool:
    """Whether each cluster has an exporter, and a login for it."""
    return os.environ.get(EXPORTERS_VARIABLE) == "true"


def configure(settings: kopf.OperatorSettings) -> None:
    """Configure kopf for a single replica that must recover within seconds."""
    # There is one replica (Recreate), so no peer to agree with.
    settings.peering.standalone = True
    # Progress is kept in annotations: the status holds what was observed, and nothing else.
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    # Without time-outs a watch whose connection died silently would freeze for good.
    settings.watching.connect_timeout = 5
    settings.watching.server_timeout = 60
    settings.watching.client_timeout = 90
    settings.watching.reconnect_backoff = 0.5
    settings.networking.request_timeout = 10
    # A fault must be live within 150 ms of its object, and kopf would batch events for 100 ms.
    settings.batching.batch_window = 0.01
    # An operator that started before its kinds were served finds them once they are.
    settings.scanning.disabled = False
    # Kubernetes events only report what went wrong, not every round.
    settings.posting.level = logging.WARNING
    settings.execution.max_workers = 8
