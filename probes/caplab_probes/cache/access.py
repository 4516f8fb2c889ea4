"""A cluster as its clients reach it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..links import Topology


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """A cluster's login (as links.ClientFactory takes it) and its endpoints as last seen."""

    login: Mapping[str, str]
    topology: Callable[[], Topology]
