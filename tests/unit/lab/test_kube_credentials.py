"""Tokens and certificates of whatever content: they are used, or one line names their file and their field."""

from __future__ import annotations

import base64
import datetime
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.objects.fake_api_server import FakeApiServer, fake_api_server

from caplab.kube import context, credentials
from caplab.kube.context import ContextRefused, connect
from caplab.kube.errors import NoAnswer

SECURE, PLAIN = "https://127.0.0.1:1", "http://127.0.0.1:1"
UNUSABLE: dict[str, tuple[bytes | None, str]] = {  # by name: content, None: a folder
    "folder": (None, "is not an ordinary file"),
    "empty": (b"", "is empty"),
    "blank": (b" \n\n", "is empty"),
    "not text": (b"\xff\xfetoken", "is not UTF-8 text"),
}


def kubeconfig(folder: Path, server: str, user: dict[str, Any], cluster: dict[str, Any] | None = None) -> Path:
    file = folder / "config"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "x", "user": user}],
    }
    file.write_text(json.dumps(document))
    return file


def put(file: Path, content: bytes | None) -> None:
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)


def refused(connecting: Callable[[], object]) -> str:
    """Return the one line with which it is refused."""
    with pytest.raises(ContextRefused) as raised:
        connecting()
    line = str(raised.value)
    assert "\n" not in line
    assert "Hint: " in line
    return line


def authorization(client: Any) -> str:
    return str(client.request("/api", {}, "*/*")[1]["authorization"])


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b" \n\n"])
def test_a_line_break_at_a_tokens_end_is_none_of_the_token(tmp_path: Path, end: bytes) -> None:
    (tmp_path / "token").write_bytes(b"abc.def" + end)
    client = connect("x", kubeconfig(tmp_path, PLAIN, {"tokenFile": "token"}))
    assert authorization(client) == "Bearer abc.def"


@pytest.mark.parametrize(
    ("content", "says"),
    [*UNUSABLE.values(), (b"abc\ndef", "has a line break within it"), ("tök".encode(), "has characters that no token")],
)
def test_a_token_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, says: str) -> None:
    put(tmp_path / "token", content)
    line = refused(lambda: connect("x", kubeconfig(tmp_path, PLAIN, {"tokenFile": "token"})))
    assert f"The kube context 'x' cannot be used: tokenFile, {tmp_path / 'token'}, {says}" in line
    assert "def" not in line, "a part of the token is shown"


@pytest.mark.parametrize("field", ["tokenFile", "client-certificate", "client-key", "certificate-authority"])
def test_a_file_that_is_missing_or_a_pipe_is_named_with_its_field(tmp_path: Path, field: str) -> None:
    fields = {field: "gone"}
    of_cluster = fields if field == "certificate-authority" else {}
    config = kubeconfig(tmp_path, SECURE, {} if of_cluster else fields, of_cluster)
    assert f"{field}, {tmp_path / 'gone'}, cannot be read: No such file" in refused(lambda: connect("x", config))
    os.mkfifo(tmp_path / "gone")
    assert f"{field}, {tmp_path / 'gone'}, is not an ordinary file" in refused(lambda: connect("x", config))


@pytest.mark.parametrize("field", ["client-certificate", "client-key", "certificate-authority"])
@pytest.mark.parametrize(("content", "says"), [*UNUSABLE.values(), (b"words", "is not PEM text")])
def test_a_certificate_that_cannot_be_used_is_named(
    tmp_path: Path, field: str, content: bytes | None, says: str
) -> None:
    put(tmp_path / "file", content)
    fields = {field: "file"}
    of_cluster = fields if field == "certificate-authority" else {}
    config = kubeconfig(tmp_path, SECURE, {} if of_cluster else fields, of_cluster)
    assert f"{field}, {tmp_path / 'file'}, {says}" in refused(lambda: connect("x", config))


@pytest.mark.parametrize("field", ["client-certificate-data", "client-key-data", "certificate-authority-data"])
@pytest.mark.parametrize(("data", "says"), [("%%%", "is not base64"), ("d29yZHM=", "is not PEM text")])
def test_data_that_cannot_be_used_is_named(tmp_path: Path, field: str, data: str, says: str) -> None:
    of_cluster = {field: data} if field.startswith("certificate-authority") else {}
    config = kubeconfig(tmp_path, SECURE, {} if of_cluster else {field: data}, of_cluster)
    assert f"{field} in {config} {says}. Hint: it must be base64 of PEM text." in refused(lambda: connect("x", config))


def test_pem_text_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    (tmp_path / "ca").write_bytes(pem)
    config = kubeconfig(tmp_path, SECURE, {}, {"certificate-authority": "ca"})
    assert f"certificate-authority, {tmp_path / 'ca'}, cannot be used: " in refused(lambda: connect("x", config))
    config = kubeconfig(tmp_path, SECURE, {"client-certificate-data": base64.b64encode(pem).decode()})
    assert "client-certificate and client-key, " in refused(lambda: connect("x", config))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make certificates with")
def test_a_certificate_and_its_own_key_are_used_with_blank_lines_and_no_other_key(tmp_path: Path) -> None:
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=x",
    ]
    for name in ("one", "other"):
        files = ["-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.crt")]
        subprocess.run([*made, *files], check=True, capture_output=True, timeout=60)
    for file in (tmp_path / "one.crt", tmp_path / "one.key"):
        file.write_bytes(b"\n" + file.read_bytes() + b"\n\n")
    user = {"client-certificate": "one.crt", "client-key": "one.key"}
    client = connect("x", kubeconfig(tmp_path, SECURE, user, {"certificate-authority": "one.crt"}))
    assert client.configuration.host == SECURE
    config = kubeconfig(tmp_path, SECURE, {**user, "client-key": "other.key"})
    line = refused(lambda: connect("x", config))
    assert f"client-certificate and client-key, {tmp_path / 'one.crt'} and {tmp_path / 'other.key'}, cannot be" in line


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide the folder of a pod's service account, whose files the test writes."""
    for name, file in (("SERVICE_TOKEN_FILENAME", "token"), ("SERVICE_CERT_FILENAME", "ca.crt")):
        monkeypatch.setattr(credentials, name, str(tmp_path / file))
        monkeypatch.setattr(f"kubernetes.config.incluster_config.{name}", str(tmp_path / file))
    monkeypatch.setattr(context, "_TOKEN", tmp_path / "token")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    monkeypatch.setattr(credentials, "check_tls", lambda _: None)
    (tmp_path / "token").write_bytes(b"abc\n")
    (tmp_path / "ca.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    return tmp_path


def test_a_pods_own_token_is_used_without_its_line_break_also_when_it_is_read_again(
    pod: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = count()
    now = SimpleNamespace(now=lambda: datetime.datetime(2026, 1, 1) + datetime.timedelta(hours=next(hours)))
    clock = SimpleNamespace(timedelta=datetime.timedelta, datetime=now)
    monkeypatch.setattr("kubernetes.config.incluster_config.datetime", clock)  # so that it is read for each request
    client = connect()
    assert authorization(client) == "bearer abc"
    (pod / "token").write_bytes(b"def\r\n")
    assert authorization(client) == "bearer def"
    for content, says in ((b"", "empty"), (b"a\nb", "has a line break within it"), (b"\xff", "utf-8")):
        (pod / "token").write_bytes(content)
        with pytest.raises(NoAnswer, match=rf"GET /api: the credentials cannot be read: .*{says}"):
            client.request("/api", {}, "*/*")
    (pod / "token").write_bytes(b"ghi")
    assert authorization(client) == "bearer ghi"


@pytest.mark.parametrize(("content", "says"), [*UNUSABLE.values(), (b"a\nb", "has a line break within it")])
def test_a_pods_own_token_that_cannot_be_used_is_named(pod: Path, content: bytes | None, says: str) -> None:
    (pod / "token").unlink()
    put(pod / "token", content)
    line = refused(connect)
    assert f"This pod's service account cannot be used: this pod's token, {pod / 'token'}, {says}" in line


def test_a_pods_own_token_that_is_missing_is_named(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pod / "token").unlink()
    monkeypatch.setenv("KUBECONFIG", str(pod / "none"))
    line = refused(connect)
    assert f"this pod's token, {pod / 'token'}, is missing. Hint: set automountServiceAccountToken" in line


def test_a_pods_own_certificate_that_is_missing_is_named(pod: Path) -> None:
    (pod / "ca.crt").unlink()
    assert f"this pod's certificate-authority, {pod / 'ca.crt'}, cannot be read: No such file" in refused(connect)


def test_a_token_of_a_kubeconfigs_own_text_is_cleaned_too(tmp_path: Path) -> None:
    with fake_api_server() as api:
        assert isinstance(api, FakeApiServer)
        client = connect("x", kubeconfig(tmp_path, api.address, {"token": "abc\n"}))
        assert client.call("GET", "/apis/")["groups"]
    assert authorization(client) == "Bearer abc"
    line = refused(lambda: connect("x", kubeconfig(tmp_path, PLAIN, {"token": "abc\ndef"})))
    assert "the token has a line break within it" in line
    assert "abc" not in line
