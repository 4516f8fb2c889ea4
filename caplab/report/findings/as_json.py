"""The output of `caplab check --json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from caplab.check.finding import Finding, merge
from caplab.model.fields import Json


def history_json(findings: Sequence[Finding]) -> dict[str, Json]:
    """Return a history's validity, and each checker's beside its figures; error: the traceback of one that failed."""
    return {
        "validity": merge(finding.state for finding in findings).value,
        "checkers": {finding.property: _finding_json(finding) for finding in findings},
    }


def runs_json(runs: Mapping[str, Sequence[Finding]]) -> dict[str, Json]:
    """Return several runs by their names, and the validity of all."""
    states = [merge(finding.state for finding in findings) for findings in runs.values()]
    return {
        "validity": merge(states).value,
        "runs": {name: history_json(findings) for name, findings in runs.items()},
    }


def _finding_json(finding: Finding) -> dict[str, Json]:
    document: dict[str, Json] = {"validity": finding.state.value, "reason": finding.reason, **finding.figures}
    return document | ({"error": finding.error} if finding.error else {})
