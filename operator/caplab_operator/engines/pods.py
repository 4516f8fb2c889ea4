"""A pod of a cluster, as the API server tells of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """Node, zone and address are '' or None while it has none; revision is of the template it was made from.

    files tells which files its node was last told of.
    """

    name: str
    namespace: str
    uid: str
    node: str
    zone: str
    address: str | None
    revision: str
    files: str
    ready: bool  # by its own node's word
    terminating: bool  # it was told to end


def ordinal(name: str) -> int:
    """A StatefulSet's number of a pod."""
    return int(name.rpartition("-")[2])
