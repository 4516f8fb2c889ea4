"""The kinds of fault that this agent supports, a folder each. This map alone lists them.

A kind also has an action in the contract (caplab/contract/objects.py), a schema in the chart, an action in the
experiments and a row in docs/faults.md. tests/unit/faults/test_kinds.py names what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..faults import Assignment
from ..injector import FaultKind, Injectors, Node
from .freeze import FREEZE
from .kill import KILL
from .partition import PARTITION

KINDS: Mapping[str, FaultKind] = MappingProxyType({"kill": KILL, "freeze": FREEZE, "partition": PARTITION})
_NAMES = {kind.action: name for name, kind in KINDS.items()}


def kind_of(assignment: Assignment) -> str:
    """Return the kind of fault that is assigned, by its name."""
    return _NAMES[type(assignment.action)]


def injectors_on(node: Node) -> Injectors:
    """Make the injectors of a node."""
    return {kind.action: kind.injector(node) for kind in KINDS.values()}
