"""A pod of a cluster, as the API server reports it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A cluster's pod. Node, zone and address are '' or None while it has none.

    revision is that of the template that it was made from; files is the digest of the files its node last fetched.
    """

    name: str
    namespace: str
    uid: str
    node: str
    zone: str
    address: str | None
    revision: str
    files: str
    ready: bool  # as its own node reports
    terminating: bool  # it is being deleted


def ordinal(name: str) -> int:
    """Return a pod's ordinal in its StatefulSet."""
    return int(name.rpartition("-")[2])
