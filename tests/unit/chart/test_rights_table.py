"""The reading of docs/security.md's table of rights."""

from __future__ import annotations

import pytest
from support.chart.rights_table import HEAD, Right, difference, in_table, rights_of

from caplab.contract.names import GROUP

PAGE = f"""# Anything
{HEAD}
|---|---|---|---|
| caplab-x | everywhere | get list | `pods`, `faults.{GROUP}` |
| caplab-x | everywhere | patch | `endpoints: a b` |
| default | a cluster's namespace | nothing | |

| another | table |
"""


def test_rows_become_rights_by_account_and_place() -> None:
    everywhere = {
        Right("get", "pods"), Right("list", "pods"),
        Right("get", f"faults.{GROUP}"), Right("list", f"faults.{GROUP}"),
        Right("patch", "endpoints", "a"), Right("patch", "endpoints", "b"),
    }  # fmt: skip
    assert in_table(PAGE) == {("caplab-x", "everywhere"): everywhere, ("default", "a cluster's namespace"): set()}


def test_rules_become_the_same_rights() -> None:
    rules = [
        {"verbs": ["get", "list"], "apiGroups": [GROUP], "resources": ["faults"]},
        {"verbs": ["patch"], "apiGroups": [""], "resources": ["endpoints"], "resourceNames": ["a", "b"]},
    ]
    granted = rights_of(rules)
    assert {str(right) for right in granted} == {
        f"get faults.{GROUP}", f"list faults.{GROUP}", "patch endpoints a", "patch endpoints b",
    }  # fmt: skip
    assert granted < in_table(PAGE)["caplab-x", "everywhere"]


@pytest.mark.parametrize(
    ("granted", "says"),
    [
        ({Right("get", "pods")}, ""),
        ({Right("get", "pods"), Right("get", "secrets")}, "it may, and the page does not say so: get secrets"),
        (set(), "the page says it may, and it may not: get pods"),
    ],
)
def test_a_right_more_or_less_is_named(granted: set[Right], says: str) -> None:
    assert difference(granted, {Right("get", "pods")}) == says
