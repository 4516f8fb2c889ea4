"""The token with which the lab's own programs ask a prober."""

from __future__ import annotations

import base64

from ..contract.names import SYSTEM_NAMESPACE
from ..contract.probers import TOKEN_KEY, TOKEN_SECRET
from .client import Client


def read_token(client: Client) -> str:
    """Read the token of the probers' metrics port. LookupError, with a hint, if there is none."""
    secret = client.get("v1", "Secret", SYSTEM_NAMESPACE, TOKEN_SECRET)
    if secret is None:
        raise LookupError(f"The probers' token, the Secret {TOKEN_SECRET}, is missing. Hint: make up.")
    return base64.b64decode((secret.get("data") or {}).get(TOKEN_KEY, "")).decode()
