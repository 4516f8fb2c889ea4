"""Invented verdicts of suites as `caplab run` writes them, for the tests of their readers."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from caplab.check import PROPERTIES
from caplab.contract.names import VERDICT_SCHEMA
from caplab.files import results

ROW = "postgres quorum kill-primary"
MACHINE: dict[str, Any] = {
    "cores": 2, "memory_bytes": 24 << 30, "load": 1.5, "cpu": "One", "architecture": "x86_64", "kernel": "6.1",
}  # fmt: skip
_BEGIN = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


def measured(name: str, value: float | None, promise: str = "possible", **fields: Any) -> dict[str, Any]:
    """Make one property of a run; it is violated if it is forbidden and not zero."""
    state = "unknown" if value is None else "invalid" if promise == "forbidden" and value else "valid"
    whole = {
        "property": name, "side": None, "route": None, "promise": promise, "state": state, "reason": "as told",
        "unit": PROPERTIES[name].unit if name in PROPERTIES else "", "measured": value, "of": None, "at_least": False,
        "budget": None, "limit": None,
    }  # fmt: skip
    return {**whole, **fields}


def run(number: int, *properties: Mapping[str, Any], row: str = ROW, **fields: Any) -> dict[str, Any]:
    """Make the run that began so many hours after the first of November."""
    began = _BEGIN + datetime.timedelta(hours=number)
    states = [judgement["state"] for judgement in properties]
    wrong = [f"{judgement['property']}: wrong" for judgement in properties if judgement["state"] != "valid"]
    whole = {
        "run": f"{began:%Y%m%d-%H%M%S}-{row.replace(' ', '-')}", "name": row, "began": f"{began:%Y-%m-%dT%H:%M:%SZ}",
        "experiment": "a title", "has_primary": not row.startswith("cassandra"),
        "verdict": next((state for state in ("invalid", "unknown") if state in states), "valid"),
        "row": row, "reasons": wrong, "properties": list(properties),
        "settings": {"ttlSeconds": 20}, "specs": {"loads": [{"name": "set", "rate": 60.0}]},
        "versions": {"postgres": "17.12"}, "images": {"postgres": "p@sha256:1"},
    }  # fmt: skip
    return {**whole, **fields}


def series(
    name: str, values: Sequence[float], begin: int = 0, promise: str = "possible", **fields: Any
) -> list[dict[str, Any]]:
    """Make one run each hour, each with one figure."""
    return [run(begin + number, measured(name, value, promise), **fields) for number, value in enumerate(values)]


def write(folder: Path, runs: Sequence[Mapping[str, Any]], **fields: Any) -> Path:
    """Write a suite's folder with its verdict."""
    states = [run["verdict"] for run in runs]
    verdict = {
        "schema": VERDICT_SCHEMA, "suite": "core", "machine": MACHINE,
        "verdict": next((state for state in ("invalid", "unknown") if state in states or not states), "valid"),
        "runs": list(runs), "repeats": [], "failures": [],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / results.VERDICT).write_text(json.dumps({**verdict, **fields}))
    return folder
