"""No call to an API server that accepts connections and never answers waits for ever."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caplab_agent.__main__ import connection
from caplab_operator.api import Api
from caplab_operator.uninstall import Uninstall
from chaoscaplab.server import Server
from kubernetes import client
from kubernetes.dynamic import DynamicClient

from caplab.faults.objects import Objects
from caplab.kube import bounded, context
from caplab.kube.context import Identity, connect
from caplab.run_context import current_run

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: kind-caplab
clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: u, user: {{}}}}]
contexts: [{{name: kind-caplab, context: {{cluster: c, user: u}}}}]
"""
REPOSITORY = Path(__file__).resolve().parents[3]
READ_SECONDS = 0.1
# The one client of its own that is bounded otherwise: a web socket's, whose every wait has its own time-out.
_OTHERWISE = {"experiments/chaoscaplab/server.py"}


@pytest.fixture(autouse=True)
def silent_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The kubeconfig of a server that accepts every connection, and is never heard of again."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        port = server.getsockname()[1]
        kubeconfig = tmp_path / "config"
        kubeconfig.write_text(KUBECONFIG.format(port=port))
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        monkeypatch.setattr(bounded, "READ_SECONDS", READ_SECONDS)
        # Its guard would ask the silent server first, and has its own tests.
        monkeypatch.setattr(context, "identity_of", lambda _api, _context: Identity(("kind://node",), True))
        context.unpin()
        yield
        context.unpin()


def get(api: client.ApiClient) -> Any:
    return client.CoreV1Api(api).list_node()


NAMESPACE = client.V1Namespace(metadata=client.V1ObjectMeta(name="n"))
CALLS: dict[str, Callable[[], Any]] = {
    "a client's read": lambda: get(connect()),
    "a client's write": lambda: client.CoreV1Api(connect()).create_namespace(NAMESPACE),
    "the dynamic client's discovery": lambda: DynamicClient(connect()).resources.get(kind="Pod"),  # type: ignore[no-untyped-call]
    "the operator's read": lambda: Api().get("v1", "Pod", "demo", "pg-0"),
    "the operator's list": lambda: Api().pods_where("demo", ""),
    "the operator's write": lambda: Api().apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n", "namespace": "demo"}}
    ),
    "the agent's": lambda: get(connection()),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_silent_server_is_waited_for_no_longer_than_the_time_outs(call: Callable[[], Any]) -> None:
    began = time.monotonic()
    with pytest.raises(Exception, match=r"[Tt]imed out|[Tt]imeout"):
        call()
    assert time.monotonic() - began < 8  # the machine may be busy; for ever is longer


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("chaoscaplab.server", lambda: Server(current_run()).nodes()),
        ("caplab.faults.objects", lambda: Objects(connect()).all()),
        ("caplab_operator.uninstall", lambda: Uninstall(connect()).run()),
    ],
)
def test_those_who_name_their_own_time_outs_are_bounded_by_them(
    monkeypatch: pytest.MonkeyPatch, module: str, call: Callable[[], Any]
) -> None:
    timeouts: list[Any] = []

    def note(_client: Any, *_args: Any, _request_timeout: Any = None, **_: Any) -> Any:
        timeouts.append(_request_timeout)
        raise TimeoutError(module)

    monkeypatch.setattr(bounded.BoundedClient, "call_api", note)
    with pytest.raises(Exception, match=re.escape(module)):
        call()
    assert timeouts
    assert all(timeouts)


def test_nobody_makes_a_client_that_is_not_bounded() -> None:
    unbounded_clients = {
        str(path.relative_to(REPOSITORY))
        for folder in ("caplab", "operator", "probes", "experiments")
        for path in (REPOSITORY / folder).rglob("*.py")
        if re.search(r"client\.ApiClient\(\w|\bApiClient\(\w", path.read_text())
    }
    assert unbounded_clients == _OTHERWISE
