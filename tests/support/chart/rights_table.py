"""The rights of accounts, as the table of docs/security.md has them, and as the API server reports them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from caplab_cluster.paths import REPOSITORY

PAGE = REPOSITORY / "docs" / "security.md"
HEAD = "| account | where | may | what |"


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource; names, if it holds for some objects only."""

    verb: str
    resource: str  # with its group, as kubectl writes it: statefulsets.apps
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f" {self.name}" if self.name else "")


def rights_of(rules: Iterable[Mapping[str, Any]]) -> set[Right]:
    """Return the rights that the rules of a role, or of a SelfSubjectRulesReview, add up to."""
    return {
        Right(verb, f"{resource}.{group}" if group else resource, name)
        for rule in rules
        for verb in rule["verbs"]
        for resource in rule.get("resources") or ()
        for group in rule.get("apiGroups") or ()
        for name in rule.get("resourceNames") or [""]
    }


def in_table(text: str | None = None) -> dict[tuple[str, str], set[Right]]:
    """Read the page's rows, by account and where."""
    lines = (PAGE.read_text() if text is None else text).splitlines()
    rows = lines[lines.index(HEAD) + 2 :]
    table: dict[tuple[str, str], set[Right]] = {}
    for row in rows[: next((number for number, line in enumerate(rows) if not line.startswith("|")), len(rows))]:
        account, where, verbs, things = (cell.strip() for cell in row.strip("|").split("|"))
        rights = table.setdefault((account, where), set())
        for thing in things.split(", ") if verbs != "nothing" else ():
            resource, _, names = thing.replace("`", "").partition(": ")
            rights |= {Right(verb, resource, name) for verb in verbs.split() for name in names.split() or [""]}
    return table


def difference(granted: set[Right], written: set[Right]) -> str:
    """Return what only one of the two has, so that it can be corrected; '' if they are the same."""
    more = [f"it may, and the page does not say so: {right}" for right in sorted(granted - written)]
    less = [f"the page says it may, and it may not: {right}" for right in sorted(written - granted)]
    return "\n".join(more + less)
