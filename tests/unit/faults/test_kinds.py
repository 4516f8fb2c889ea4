"""A kind of fault is known in every registry: whatever lists the kinds lists those of the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

import pytest
from caplab_agent.injectors import KINDS
from caplab_cluster.paths import REPOSITORY
from chaoscaplab.faults import actions
from support.chart.crd_schema import schemas

from caplab.contract.objects import FAULT_KINDS

SPEC: Mapping[str, Any] = schemas()["Fault"]["properties"]["spec"]


def in_rule(word: str) -> Set[str]:
    """Return the fields that a rule of the chart asks for, by a word of its message."""
    (rule,) = (each["rule"] for each in SPEC["x-kubernetes-validations"] if word in each["message"])
    return set(re.findall(r"has\(self\.(\w+)\)", rule))


def in_table() -> Set[str]:
    """Return the rows of the table of kinds in docs/faults.md."""
    text = (REPOSITORY / "docs" / "faults.md").read_text()
    _, _, section = text.partition("\n## Kinds of fault\n")
    return set(re.findall(r"^\| `(\w+)` \|", section.partition("\n#")[0], re.MULTILINE))


def differences(registries: Mapping[str, Set[str]]) -> list[str]:
    """List each kind that a registry lacks, and each that it alone has."""
    kinds = set(FAULT_KINDS)
    lacking = [f"{registry} lacks {kind}" for registry, known in registries.items() for kind in sorted(kinds - known)]
    return lacking + [
        f"{registry} has {kind}, unlike the contract"
        for registry, known in registries.items()
        for kind in known - kinds
    ]


def registries() -> dict[str, Set[str]]:
    return {
        "the agent's map": set(KINDS),
        "the experiments' actions": set(actions.__all__) - {"heal", "nothing"},
        "the chart's schema": set(SPEC["properties"]) - {"target", "durationSeconds", "seed"},
        "the chart's rule for no fault": in_rule("no fault is named"),
        "the chart's rule for several": in_rule("more than one fault is named"),
        "docs/faults.md": in_table(),
    }


def test_every_registry_knows_the_kinds_of_the_contract() -> None:
    assert len(FAULT_KINDS) >= 3
    assert differences(registries()) == []


@pytest.mark.parametrize("registry", registries())
def test_a_planted_difference_of_a_registry_is_found(registry: str) -> None:
    known = {**registries(), registry: {"burn", *list(FAULT_KINDS)[1:]}}
    assert differences(known) == [f"{registry} lacks kill", f"{registry} has burn, unlike the contract"]


def test_the_agents_injectors_are_told_apart_by_their_actions() -> None:
    assert len({kind.action for kind in KINDS.values()}) == len(KINDS)
