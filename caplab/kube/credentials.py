"""The files and fields with which a client proves who it is: read before they are used, and named if they are unfit.

The Python client neither removes the line break that an editor leaves at a token's end, nor names the file of what it
cannot read, and skips a token's file that is empty.
"""

from __future__ import annotations

import base64
import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes.client import Configuration
from kubernetes.config.incluster_config import SERVICE_CERT_FILENAME, SERVICE_TOKEN_FILENAME
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

_TOKEN = "BearerToken"  # the field of the Python client's settings
_MAX_BYTES = 1 << 20
_CERTIFICATES = ("certificate-authority", "client-certificate", "client-key")


class Unfit(Exception):
    """A credential cannot be used; the message names its file and its field, with a hint."""


def check_pod() -> None:
    """Check the files of a pod's service account. Raises Unfit."""
    hint = "Hint: delete the pod, so that kubelet writes the files again."
    _token_in(Path(SERVICE_TOKEN_FILENAME), "this pod's token", hint)
    _certificate_in(Path(SERVICE_CERT_FILENAME), "this pod's certificate-authority", hint)


def check_context(kubeconfig: str | None, context: str) -> None:
    """Check the files and fields that a context of a kubeconfig names. Raises Unfit, or what its loader does."""
    config = KubeConfigMerger(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION).config  # type: ignore[no-untyped-call]
    if config is None:
        return
    entry = config["contexts"].get_with_name(context)["context"]
    cluster = config["clusters"].get_with_name(entry["cluster"])["cluster"]
    user = config["users"].get_with_name(entry["user"], safe=True) if "user" in entry else None
    for part in (cluster, user["user"] if user and "user" in user else None):
        if part:
            _check_part(part, encrypted="server" in cluster and str(cluster["server"]).startswith("https"))


def check_tls(settings: Configuration) -> None:
    """Check that certificates and key can be used together. Raises Unfit."""
    if not str(settings.host).startswith("https"):
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.ssl_ca_cert:
        _loaded(
            lambda: context.load_verify_locations(settings.ssl_ca_cert), "certificate-authority", settings.ssl_ca_cert
        )
    if certificate := settings.cert_file:
        files = " and ".join(filter(None, (certificate, settings.key_file)))
        _loaded(
            lambda: context.load_cert_chain(certificate, settings.key_file, password=""),
            "client-certificate and client-key", files,
        )  # fmt: skip


def clean(settings: Configuration) -> None:
    """Remove blanks and line breaks at a token's end. Raises Unfit if no header can hold the rest."""
    token = settings.api_key.get(_TOKEN)
    if token is None:
        return
    if problem := _token_problem(str(token).strip().partition(" ")[2]):  # after Bearer, or Basic
        raise Unfit(f"the token {problem}. Hint: look at where it comes from, a kubeconfig's file or program.")
    settings.api_key[_TOKEN] = str(token).strip()


def keep_clean(settings: Configuration) -> None:
    """Clean the token now, and whenever it is read again. Raises Unfit."""
    clean(settings)
    renew = settings.refresh_api_key_hook
    if renew:

        def renew_and_clean(mine: Configuration) -> None:
            renew(mine)
            clean(mine)

        hook(settings, renew_and_clean)


def hook(settings: Any, renew: Callable[[Configuration], object]) -> None:
    """Have credentials renewed by this function for good: the Python client's own sets its own one again."""

    def renew_for_good(mine: Any) -> None:
        try:
            renew(mine)
        finally:
            mine.refresh_api_key_hook = renew_for_good

    settings.refresh_api_key_hook = renew_for_good


def _check_part(part: Any, encrypted: bool) -> None:
    folder = Path(part.path).parent
    if "tokenFile" in part and "token" not in part:
        _token_in(folder / str(part["tokenFile"]), "tokenFile", "Hint: name the file of a token.")
    for field in _CERTIFICATES if encrypted else ():
        data = part[f"{field}-data"] if f"{field}-data" in part else ""  # noqa: SIM401  # it has no get
        if data:
            _decoded(part.path, f"{field}-data", data)
        elif field in part:
            _certificate_in(folder / str(part[field]), field, "Hint: name a file of PEM text.")


def _token_in(file: Path, field: str, hint: str) -> None:
    text = _text(file, field, hint).strip()
    if problem := _token_problem(text):
        raise Unfit(f"{field}, {file}, {problem}. {hint}")


def _token_problem(text: str) -> str:
    if not text:
        return "is empty"
    if "\n" in text or "\r" in text:
        return "has a line break within it"
    return "" if text.isascii() and text.isprintable() else "has characters that no token has"


def _certificate_in(file: Path, field: str, hint: str) -> None:
    if "-----BEGIN " not in _text(file, field, hint):
        raise Unfit(f"{field}, {file}, is not PEM text. {hint}")


def _text(file: Path, field: str, hint: str) -> str:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unfit(f"{field}, {file}, is not an ordinary file. {hint}")
            content = os.read(descriptor, _MAX_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unfit(f"{field}, {file}, cannot be read: {error.strerror}. {hint}") from error
    except ValueError as error:  # a path with a NUL
        raise Unfit(f"{field} is not a path. {hint}") from error
    if not content.strip():
        raise Unfit(f"{field}, {file}, is empty. {hint}")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Unfit(f"{field}, {file}, is not UTF-8 text. {hint}") from error


def _decoded(kubeconfig: object, field: str, data: Any) -> None:
    hint = "Hint: it must be base64 of PEM text."
    try:
        content = base64.b64decode("".join(str(data).split()), validate=True)
    except ValueError as error:
        raise Unfit(f"{field} in {kubeconfig} is not base64. {hint}") from error
    if b"-----BEGIN " not in content:
        raise Unfit(f"{field} in {kubeconfig} is not PEM text. {hint}")


def _loaded(load: Callable[[], object], field: str, files: object) -> None:
    try:
        load()
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unfit(
            f"{field}, {files}, cannot be used: {' '.join(str(reason).split())}."
            " Hint: they must be PEM text that belongs together, and a key without a password."
        ) from error
