"""The sides of a cut, and the vantages on each: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.names import ZONE_LABEL
from caplab.contract.objects import Fault
from caplab.faults.rows import target_entries
from caplab.model.runs import MAJORITY, MINORITY
from caplab.run_context import RunState


def cut_off(state: RunState) -> frozenset[str]:
    """Return the names of the nodes that a run's faults separated from all others: by group cuts, or as lost nodes.

    Other cuts leave clients of every zone on every side, and a kill or a freeze separates no node.
    """
    cut_off_nodes = {
        str(entry.node)
        for fault in state.faults.values()
        if _is_group_cut(fault)
        for entry in target_entries(fault)
        if entry.injected_ns is not None
    }
    return frozenset(cut_off_nodes | {str(lost["node"]) for lost in state.lost_nodes.values() if lost["state"]})


def zones_of(nodes: Sequence[Any]) -> dict[str, str]:
    """Return each node's zone, by the node's name. nodes: the API server's; those without a zone are left out."""
    labels = {meta.name_of(node): meta.labels_of(node) for node in nodes}
    return {name: str(node_labels[ZONE_LABEL]) for name, node_labels in labels.items() if ZONE_LABEL in node_labels}


def sides_of(nodes: frozenset[str], zones: Mapping[str, str], vantages: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the vantages in the zones of these nodes, and the others; empty if one of the sides has none.

    Raises ValueError, which names a node whose zone is not known.
    """
    for node in sorted(nodes - zones.keys()):
        raise ValueError(f"The node {node} is in no zone. Hint: label it {ZONE_LABEL}, as make up does.")
    here = {zones[node] for node in nodes}
    minority = tuple(vantage for vantage in vantages if vantage in here)
    majority = tuple(vantage for vantage in vantages if vantage not in here)
    return {MINORITY: minority, MAJORITY: majority} if minority and majority else {}


def _is_group_cut(fault: Fault) -> bool:
    return fault.spec.partition is not None and fault.spec.partition.source == "group"
