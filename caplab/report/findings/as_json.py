"""The output of `caplab check --json`."""

from __future__ import annotations

from collections.abc import Sequence

from caplab.check.finding import Finding, merge
from caplab.model.fields import Json

from .checked import CheckedHistory


def history_json(findings: Sequence[Finding]) -> dict[str, Json]:
    """Return a history's validity, and each checker's beside its figures; error: the traceback of one that failed."""
    return {
        "validity": merge(finding.state for finding in findings).value,
        "checkers": {finding.property: _finding_json(finding) for finding in findings},
    }


def runs_json(histories: Sequence[CheckedHistory]) -> dict[str, Json]:
    """Return several histories by their names, and the validity of all; problem: why one was not checked."""
    return {
        "validity": merge(history.state for history in histories).value,
        "runs": {
            history.name: history_json(history.findings) | ({"problem": history.problem} if history.problem else {})
            for history in histories
        },
    }


def _finding_json(finding: Finding) -> dict[str, Json]:
    document: dict[str, Json] = {"validity": finding.state.value, "reason": finding.reason, **finding.figures}
    return document | ({"error": finding.error} if finding.error else {})
