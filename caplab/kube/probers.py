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
    try:
        token = base64.b64decode(secret["data"][TOKEN_KEY]).decode().strip()  # a file's text ends in a newline
    except (LookupError, TypeError, ValueError):
        token = ""
    if not token.isascii() or not token.isprintable() or not token:  # no header can hold it; nor may a message
        raise LookupError(f"The probers' token, in the Secret {TOKEN_SECRET}, cannot be read. Hint: make up.")
    return token
