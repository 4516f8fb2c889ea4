"""The choice of the API server, and the guard: the only module that knows contexts.

Faults break what they hit. So a kubeconfig's current context is used only if its cluster is identified as the lab's
own: kind made every node, and the lab's kinds are served. Any other context must be named. Inside a cluster there is no
choice to guard: the pod's own service account is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kubernetes import config
from kubernetes.client import Configuration

from ..command_error import CommandError
from ..contract.names import GROUP
from ..time_limit import TimeLimitExceeded, with_time_limit
from . import credentials
from .client import Client
from .errors import ApiError, Forbidden, reason_of
from .limits import CallLimits

CONTEXT_VARIABLE = "CAPLAB_CONTEXT"  # names a context that is not a lab's, for callers without an argument for it
_KIND_PROVIDER = "kind://"  # what kind gives each of its nodes as spec.providerID
_MAX_NODES = 100  # to look at
_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_SERVICE_HOST = "KUBERNETES_SERVICE_HOST"  # kubelet sets it in every pod
_LIMITS = CallLimits()
_CREDENTIALS_SECONDS = 60.0  # such a program may prompt the user

T = TypeVar("T")


class ContextRefused(CommandError):
    """No context can be used; the message names it, the reason and the hint."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A cluster's identity: its nodes' providers, and whether it serves the lab's kinds."""

    providers: tuple[str, ...]
    serves_lab: bool

    @property
    def is_kind(self) -> bool:
        """Whether kind has made all of its nodes."""
        return bool(self.providers) and all(provider.startswith(_KIND_PROVIDER) for provider in self.providers)

    def described(self) -> str:
        """Such as 'a kind cluster with the lab in it'."""
        return f"{'a' if self.is_kind else 'not a'} kind cluster{', with the lab in it' if self.serves_lab else ''}"


@dataclass(frozen=True, slots=True)
class Place:
    """The chosen API server: the context's name ('' in a pod), its address, and its identity."""

    context: str
    address: str
    identity: Identity
    client: Client

    def described(self) -> str:
        """Its description for the user of a command."""
        context = f"context {self.context}" if self.context else "this pod's own"
        return f"{context} at {self.address}, {self.identity.described()}"


def refusal(context: str, identity: Identity) -> str:
    """Return why an unnamed context is not used; '' if it is. Pure."""
    if identity.is_kind and identity.serves_lab:
        return ""
    lacks = (
        "is not that of a kind cluster, whatever its name"
        if not identity.is_kind
        else "is that of a cluster without the lab"
    )
    return (
        f"The current kube context '{context}' {lacks}. Hint: for the lab's own cluster (make up), unset KUBECONFIG;"
        f" if this one is meant, name it explicitly (--context {context}, or {CONTEXT_VARIABLE})."
    )


def connect(named: str | None = None, kubeconfig: Path | None = None) -> Client:
    """Return a client of the API server: the pod's own inside a cluster (unless a context is named), else kubeconfig's.

    A context that is not named is identified first. Raises ContextRefused, also if it does not answer.
    """
    context, client = _client(named, kubeconfig)
    if context and not named:
        _require(context, identity_of(client, context))
    return client


def pin(named: str | None = None) -> Place:
    """Choose the API server of everything that this process does from now on; ContextRefused as in `connect`.

    It stays the same even if the kubeconfig, or its current context, changes meanwhile.
    """
    global _pinned  # noqa: PLW0603  # the one place there is
    context, client = _client(named, None)
    identity = identity_of(client, context)
    if context and not named:
        _require(context, identity)
    _pinned = Place(context, str(client.configuration.host), identity, client)
    return _pinned


def pinned() -> Place:
    """Return the pinned place; if none is pinned, that of CAPLAB_CONTEXT, else the current context's."""
    return _pinned or pin(os.environ.get(CONTEXT_VARIABLE))


def is_pinned() -> bool:
    """Return whether a place is pinned, without a request."""
    return _pinned is not None


def identity_of(client: Client, context: str) -> Identity:
    """Ask a cluster what it is; what may not be read stays unknown. ContextRefused if it does not answer."""
    try:
        groups = client.call("GET", "/apis/")["groups"]
        return Identity(_providers(client), any(group["name"] == GROUP for group in groups))
    except (ApiError, LookupError, TypeError, AttributeError) as error:  # the latter: it answers something else
        reason = reason_of(error) if isinstance(error, ApiError) else "it answers with no list of groups and nodes"
        raise ContextRefused(
            f"The API server of the kube context '{context}', {client.configuration.host}, does not answer as one:"
            f" {reason.rstrip('.')}. Hint: check that the cluster is up (make status) and the kubeconfig is its own."
        ) from error


def in_cluster() -> bool:
    """Return whether this process runs in a pod with a service account."""
    return _SERVICE_HOST in os.environ and _TOKEN.exists()


_pinned: Place | None = None


def _providers(client: Client) -> tuple[str, ...]:
    try:
        nodes = client.list_all("v1", "Node", limit=str(_MAX_NODES))
    except Forbidden:
        return ()
    return tuple(str((node.get("spec") or {}).get("providerID") or "") for node in nodes)


def _require(context: str, identity: Identity) -> None:
    if problem := refusal(context, identity):
        raise ContextRefused(problem)


def _client(named: str | None, kubeconfig: Path | None) -> tuple[str, Client]:
    """Return the context's name, '' inside a cluster, and its client; no request is made yet."""
    settings = Configuration()
    if in_cluster() and not named and not kubeconfig:
        _load_pods_own(settings)
        return "", Client(settings, _LIMITS)
    # Read now: the client itself reads the variable only on import.
    file = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or None
    context = named or _current_context(file)
    try:
        _within_time(lambda: _load(file, context, settings))
        _bound_refreshing(settings)
    except credentials.Unfit as unfit:
        raise ContextRefused(f"The kube context '{context}' cannot be used: {unfit}") from unfit
    except Exception as error:  # for files that are not a kubeconfig the client raises any error
        raise ContextRefused(
            f"The kube context '{context}' cannot be used: {reason_of(error).rstrip('.')}."
            " Hint: see `kubectl config get-contexts`."
        ) from error
    return context, Client(settings, _LIMITS)


def _load(file: str | None, context: str, settings: Configuration) -> None:
    credentials.check_context(file, context)
    config.load_kube_config(file, context=context, client_configuration=settings)  # type: ignore[no-untyped-call]
    credentials.check_tls(settings)
    credentials.keep_clean(settings)


def _load_pods_own(settings: Configuration) -> None:
    """Load the credentials of this pod's service account; ContextRefused if they cannot be used."""
    try:
        credentials.check_pod()
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        credentials.check_tls(settings)
        credentials.keep_clean(settings)
    except credentials.Unfit as unfit:
        raise ContextRefused(f"This pod's service account cannot be used: {unfit}") from unfit
    except config.ConfigException as error:
        raise ContextRefused(
            f"This pod's service account cannot be used: {reason_of(error).rstrip('.')}."
            " Hint: delete the pod, so that kubelet makes it anew."
        ) from error


def _current_context(file: str | None) -> str:
    """Return the kubeconfig's current context; ContextRefused if there is none."""
    try:
        _, current = _within_time(lambda: config.list_kube_config_contexts(file))  # type: ignore[no-untyped-call]
        return str(current["name"])
    except Exception as error:  # as above
        if _SERVICE_HOST in os.environ and not _TOKEN.exists():
            raise ContextRefused(
                f"This pod's service account cannot be used: this pod's token, {_TOKEN}, is missing."
                " Hint: set automountServiceAccountToken, or name a kubeconfig."
            ) from error
        raise ContextRefused(
            f"There is no current kube context: {file or '~/.kube/config'}: {reason_of(error).rstrip('.')}."
            " Hint: bring up the lab's cluster (make up) and unset KUBECONFIG, or name a context (--context)."
        ) from error


def _bound_refreshing(settings: Configuration) -> None:
    """Apply the time-out also when expired credentials are renewed in the middle of a run."""
    if refresh := settings.refresh_api_key_hook:
        credentials.hook(settings, lambda mine: _within_time(lambda: refresh(mine)))


def _within_time(read: Callable[[], T]) -> T:
    """Run `read` within a time limit: a kubeconfig may be a pipe, or name a program that does not end.

    Raises what read does, and TimeoutError if it takes too long; the thread is left to end with this process.
    """
    try:
        return with_time_limit(_CREDENTIALS_SECONDS, read, "kubeconfig")
    except TimeLimitExceeded as error:
        raise TimeoutError(
            f"the kubeconfig, or the program that it names for credentials, did not end in {_CREDENTIALS_SECONDS:g} s"
        ) from error
