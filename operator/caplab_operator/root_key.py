"""The lab's root key, from which all passwords are derived: a Secret in the lab's namespace, made once."""

from __future__ import annotations

import base64
import binascii
import logging
import os
import secrets
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from caplab.contract.names import APP_LABEL, OPERATOR

from .engines.passwords import KEY_BYTES
from .settings import LAB_NAMESPACE_VARIABLE

NAME = "caplab-root-key"
_FIELD = "key"

_log = logging.getLogger(__name__)


class Store(Protocol):
    """Store of the Secret: the API server."""

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Read an object; None if there is none."""

    def create(self, manifest: Mapping[str, Any]) -> bool:
        """Create an object. Returns False if it exists already."""


class UnusableRootKey(Exception):
    """The Secret holds no root key; the message has the hint."""


class RootKey:
    """The root key, kept in memory once read, so that a deleted Secret is made again. Safe between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._key: bytes | None = None

    def value(self) -> bytes:
        """Read the key from the Secret, which is made if there is none. Raises UnusableRootKey."""
        namespace = os.environ[LAB_NAMESPACE_VARIABLE]
        with self._lock:
            while (secret := self._store.get("v1", "Secret", namespace, NAME)) is None:
                if self._store.create(manifest(namespace, self._key or secrets.token_bytes(KEY_BYTES))):
                    _log.info("created the lab's root key: Secret %s/%s", namespace, NAME)
            self._key = _key_in(secret)
            return self._key


def manifest(namespace: str, key: bytes) -> dict[str, Any]:
    """Build the Secret."""
    metadata = {"name": NAME, "namespace": namespace, "labels": {APP_LABEL: OPERATOR}}
    data = {_FIELD: base64.b64encode(key).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


def _key_in(secret: Mapping[str, Any]) -> bytes:
    try:
        key = base64.b64decode((secret.get("data") or {}).get(_FIELD, ""), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise UnusableRootKey(
            f"Secret {NAME} in the lab's namespace holds no root key ({KEY_BYTES} bytes under '{_FIELD}')."
            " Hint: restore it, or delete it: an operator that has read it once makes it again."
        )
    return key
