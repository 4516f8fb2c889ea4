"""Passwords that can be restored: derived from the lab's root key, so that a lost Secret comes back as it was.

HMAC-SHA256 (RFC 2104) of the root key over a password's purpose: a cluster made again over its old volumes has the
passwords that its databases know.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from .cluster import Cluster

KEY_BYTES = 32
_PASSWORD_BYTES = 24
_FINGERPRINT_CHARACTERS = 16


class PasswordsLost(Exception):
    """A cluster's passwords are lost, and only its databases have them; the message names the Secret, and the hint."""


@dataclass(frozen=True, slots=True)
class Passwords:
    """The passwords of a cluster; key is the lab's root key."""

    cluster: Cluster
    key: bytes = field(repr=False)

    def __call__(self, purpose: str) -> str:
        """Return the password for a purpose: 32 characters that need no quotes anywhere."""
        cluster = self.cluster
        name = "\0".join((cluster.namespace, cluster.ENGINE.kind, cluster.name, purpose))
        digest = hmac.digest(self.key, name.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:_PASSWORD_BYTES]).decode()

    @property
    def root(self) -> str:
        """The root key's fingerprint, which reveals nothing of the key."""
        return hmac.new(self.key, b"which root key", hashlib.sha256).hexdigest()[:_FINGERPRINT_CHARACTERS]


def are_to_be_derived(root: str, secrets: Mapping[str, str | None], volumes: frozenset[str]) -> bool:
    """Whether a cluster's passwords must be derived from the root key; otherwise its Secrets stay as they are.

    secrets has each one's root key by name: '' if it names none, None if there is no such Secret. volumes has the root
    keys of the volumes. These decide, since logins are checked against the data on them.
    Raises PasswordsLost if a Secret is gone that was derived from another key.
    """
    made_with = volumes or frozenset(fingerprint for fingerprint in secrets.values() if fingerprint is not None)
    if made_with <= {root}:
        return True
    if missing := sorted(name for name, fingerprint in secrets.items() if fingerprint is None):
        raise PasswordsLost(
            f"Secret {', '.join(missing)} is gone, and the cluster's passwords are from another root key than the lab"
            " has now: they cannot be derived again, and new ones would lock all clients out. Hint: restore the Secret,"
            " or caplab-root-key in the lab's namespace; or delete the cluster with its volumes."
        )
    return False
