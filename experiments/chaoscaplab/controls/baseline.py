"""The baseline of a run, by its journal: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from caplab.model.runs import Baseline


def baseline_of(journal: Mapping[str, Any]) -> Baseline:
    """Return whether the steady state held before the fault, and every step of the method succeeded.

    A run whose method failed, or that was interrupted, says nothing about its row either.
    """
    problems = [*_before(journal), *_method(journal.get("run") or ())]
    if journal.get("status") in ("interrupted", "aborted"):
        problems.append(f"the experiment was {journal['status']}")
    return Baseline(not problems, "; ".join(problems))


def _before(journal: Mapping[str, Any]) -> list[str]:
    state = (journal.get("steady_states") or {}).get("before")
    if state is None:
        return ["the steady state before the fault was not checked"]
    if state.get("steady_state_met"):
        return []
    failed = [probe for probe in state.get("probes") or () if not _went_well(probe)]
    return [f"{_name(probe)}: {_why(probe)}" for probe in failed] or ["the steady state did not hold before the fault"]


def _method(activities: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{_name(activity)}: {_why(activity)}" for activity in activities if activity.get("status") != "succeeded"]


def _went_well(probe: Mapping[str, Any]) -> bool:
    return probe.get("status") == "succeeded" and bool(probe.get("tolerance_met", True))


def _name(activity: Mapping[str, Any]) -> str:
    return str((activity.get("activity") or {}).get("name", "a step"))


def _why(activity: Mapping[str, Any]) -> str:
    """Return the last line of what an activity raised, which is its sentence, without its stop."""
    raised = activity.get("exception") or [f"it ended as {activity.get('status')}"]
    lines = raised if isinstance(raised, list) else str(raised).splitlines()
    return str(lines[-1]).strip().rpartition("chaoslib.exceptions.ActivityFailed: ")[2].rstrip(".")
