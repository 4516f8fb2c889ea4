"""The way to an API server, and the guard: the one place that knows contexts.

Faults break what they hit, so that a kubeconfig's context must be a kind cluster's or be named
explicitly. Inside a cluster there is no choice to guard: the pod's own service account is used.
"""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes import client, config

from .bounded import bounded

KIND_PREFIX = "kind-"
CONTEXT_VARIABLE = "CAPLAB_CONTEXT"  # names a context that is no kind cluster's, for whoever has no argument for it
_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class ContextRefused(Exception):
    """There is no context to use, or it is not to be used; the message says which and the mend."""


def check_context(current: str | None, named: str | None) -> str:
    """The context to use: the named one, else the current one if it is a kind cluster's.

    Raises ContextRefused.
    """
    if named:
        return named
    if not current:
        raise ContextRefused(
            "There is no current kube context. Mend: bring up the lab's cluster (make up), or name one."
        )
    if not current.startswith(KIND_PREFIX):
        raise ContextRefused(
            f"The current kube context '{current}' is not a kind cluster's. Mend: name it explicitly if it is meant."
        )
    return current


def connect(named: str | None = None, kubeconfig: Path | None = None) -> client.ApiClient:
    """A client of the API server: the pod's own inside a cluster (unless a context is named), else kubeconfig's.

    Raises ContextRefused.
    """
    settings = client.Configuration()
    if in_cluster() and not named and not kubeconfig:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    else:
        # Read now: the client itself looks at the variable only when it is imported.
        file = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or None
        context = check_context(_current_context(file), named)
        try:
            config.load_kube_config(file, context=context, client_configuration=settings)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise ContextRefused(f"The kube context '{context}' is of no use: {error}") from error
    return bounded(settings)


def in_cluster() -> bool:
    """Whether this process runs in a pod with a service account."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and _TOKEN.exists()


def _current_context(file: str | None) -> str | None:
    try:
        _, current = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return None
    return str(current["name"])
