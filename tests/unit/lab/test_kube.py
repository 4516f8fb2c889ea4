"""Which cluster a command talks to: what it is counts, and not what its context is called; chosen once."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from support.objects.fake_api_server import KIND, PRODUCTION, FakeApiServer, fake_api_server, kubeconfig

from caplab.kube import context
from caplab.kube.context import CONTEXT_VARIABLE, ContextRefused, Identity, connect, refusal
from caplab.kube.limits import CallLimits
from caplab.run import places

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def nothing_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KUBECONFIG", CONTEXT_VARIABLE):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.setattr(context, "_pinned", None)


@pytest.fixture
def api() -> Iterator[FakeApiServer]:
    with fake_api_server() as fake:
        yield fake


@pytest.mark.parametrize(
    ("providers", "serves_lab", "says"),
    [
        (KIND, True, ""),
        (PRODUCTION, True, "is not that of a kind cluster, whatever its name"),
        ((*KIND, PRODUCTION[0]), True, "is not that of a kind cluster"),
        ((*KIND, ""), True, "is not that of a kind cluster"),
        ((), True, "is not that of a kind cluster"),
        (KIND, False, "is that of a cluster without the lab"),
    ],
)
def test_a_context_that_nobody_named_is_used_where_its_cluster_is_kinds_and_has_the_lab(
    providers: tuple[str, ...], serves_lab: bool, says: str
) -> None:
    sentence = refusal("kind-prod", Identity(providers, serves_lab))
    assert says in sentence
    assert bool(sentence) == bool(says)
    if sentence:
        assert "'kind-prod'" in sentence
        assert "Hint: for the lab's own cluster (make up), unset KUBECONFIG" in sentence
        assert "name it explicitly (--context kind-prod" in sentence


def test_a_context_called_kind_prod_that_is_no_kind_cluster_is_refused(api: FakeApiServer, tmp_path: Path) -> None:
    config = kubeconfig(tmp_path, "kind-prod", kind_prod=api.address)
    api.providers = PRODUCTION
    with pytest.raises(ContextRefused, match="'kind-prod' is not that of a kind cluster, whatever its name"):
        connect(kubeconfig=config)
    assert connect("kind-prod", config).configuration.host == api.address  # somebody means it


def test_a_lab_by_another_name_is_used(api: FakeApiServer, tmp_path: Path) -> None:
    config = kubeconfig(tmp_path, "my-laptop", my_laptop=api.address)
    assert connect(kubeconfig=config).configuration.host == api.address


def test_who_may_not_see_nodes_must_name_the_context(
    api: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.forbidden = True
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, "kind-caplab", kind_caplab=api.address)))
    with pytest.raises(ContextRefused, match="not that of a kind cluster"):
        context.pin()
    assert context.pin("kind-caplab").identity == Identity((), True)


def test_a_place_is_chosen_once_and_stays_though_the_kubeconfig_changes(
    api: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = kubeconfig(tmp_path, "kind-caplab", kind_caplab=api.address)
    monkeypatch.setenv("KUBECONFIG", str(config))
    sentence = places.choose_lab()
    assert sentence == f"context kind-caplab at {api.address}, a kind cluster, with the lab in it"
    kubeconfig(tmp_path, "production", kind_caplab=NOWHERE, production=NOWHERE)
    asked = len(api.asked)
    assert context.pinned().address == api.address
    assert str(context.pinned().client.configuration.host) == api.address
    config.unlink()
    assert context.pinned().context == "kind-caplab"
    assert len(api.asked) == asked


def test_what_a_run_starts_is_told_the_context(
    api: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, "kind-caplab", kind_caplab=api.address)))
    places.choose_lab()
    assert os.environ[CONTEXT_VARIABLE] == "kind-caplab"


def test_runs_need_a_cluster_with_the_lab_even_where_it_is_named(
    api: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.groups, api.providers = ("apps",), PRODUCTION
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, "x", production=api.address)))
    monkeypatch.setenv(CONTEXT_VARIABLE, "production")
    with pytest.raises(ContextRefused, match=r"no lab in the cluster of context production at .*not a kind.*Hint"):
        places.choose_lab()


def test_a_server_that_is_away_or_silent_or_something_else_is_said_to_be(
    api: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "_LIMITS", CallLimits(read_seconds=0.2))
    with pytest.raises(
        ContextRefused, match=r"of the kube context 'kind-x', http://127.0.0.1:1, does not answer.*Hint"
    ):
        connect(kubeconfig=kubeconfig(tmp_path, "kind-x", kind_x=NOWHERE))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it accepts, and says nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ContextRefused, match="does not answer as one"):
            connect(kubeconfig=kubeconfig(tmp_path, "kind-x", kind_x=address))
    for answer in (b"<html>\x1b[31m", b"[]", b"{}"):
        api.broken = answer
        with pytest.raises(ContextRefused):
            connect(kubeconfig=kubeconfig(tmp_path, "kind-x", kind_x=api.address))


def test_a_named_context_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContextRefused, match=r"'kind-gone' cannot be used.*Hint"):
        connect("kind-gone", kubeconfig(tmp_path, "kind-caplab", kind_caplab=NOWHERE))


@pytest.mark.parametrize(
    "text", ["", "not: [yaml", "\x00", "- 1\n", "kind: Config\ncontexts: 5\ncurrent-context: a\n", "{}"]
)
def test_a_kubeconfig_that_is_none_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ContextRefused, match=r"There is no current kube context: .*Hint: .*make up"):
        connect(kubeconfig=path)
    with pytest.raises(ContextRefused, match=r"'x' cannot be used: .*Hint"):
        connect("x", path)


def test_without_a_kubeconfig_the_mend_is_said(tmp_path: Path) -> None:
    with pytest.raises(ContextRefused, match="make up"):
        connect(kubeconfig=tmp_path / "none")


def test_inside_a_cluster_the_pods_own_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(context, "_TOKEN", tmp_path / "token")
    assert not context.in_cluster()
    (tmp_path / "token").write_text("t")
    assert context.in_cluster()


def exec_config(folder: Path, command: str, *arguments: str) -> Path:
    """A kubeconfig whose credentials come from a program."""
    path = folder / "config"
    words = ", ".join(f'"{word}"' for word in arguments)
    user = f"{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: {command}, args: [{words}]}}}}"
    path.write_text(
        f"clusters: [{{name: c, cluster: {{server: {NOWHERE}}}}}]\nusers: [{{name: u, user: {user}}}]\n"
        "contexts: [{name: kind-x, context: {cluster: c, user: u}}]\ncurrent-context: kind-x\n"
    )
    return path


def test_a_program_for_credentials_that_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "_CREDENTIALS_SECONDS", 0.3)
    with pytest.raises(ContextRefused, match=r"program that it names for credentials, did not end in 0\.3 s\. Hint:"):
        connect(kubeconfig=exec_config(tmp_path, "sleep", "5"))


def test_a_kubeconfig_that_is_a_pipe_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_CREDENTIALS_SECONDS", 0.3)
    os.mkfifo(tmp_path / "config")
    with pytest.raises(ContextRefused, match=r"There is no current kube context: .* did not end in 0\.3 s"):
        connect(kubeconfig=tmp_path / "config")


def test_credentials_that_expire_in_the_midst_of_a_run_are_waited_for_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(context, "_CREDENTIALS_SECONDS", 0.2)
    settings: Any = client.Configuration()
    over = threading.Event()
    waits = iter((0.0, 10.0))

    def renew(mine: Any) -> None:
        over.wait(next(waits))
        mine.refresh_api_key_hook = renew  # as the Python client does it

    settings.refresh_api_key_hook = renew
    context._bound_refreshing(settings)
    settings.get_api_key_with_prefix("authorization")
    with pytest.raises(TimeoutError, match="for credentials"):
        settings.get_api_key_with_prefix("authorization")
    over.set()
