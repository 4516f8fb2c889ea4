"""Histories fetched from the probers through the API server."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from prometheus_client.parser import text_string_to_metric_families

from caplab.model.history import Table
from caplab.model.runs import FinalScan, WallAnchor

from ..server import Server


def fetch_history(server: Server, run_id: str, vantages: Sequence[str]) -> Table:
    """What every vantage recorded of a run, in one table."""
    with ThreadPoolExecutor(len(vantages)) as pool:
        answers = list(pool.map(lambda vantage: server.fetch(vantage, f"runs/{run_id}/history.arrow"), vantages))
    return pa.concat_tables([pa.ipc.open_stream(answer).read_all() for answer in answers])


def fetch_clock(server: Server, run_id: str, vantage: str) -> tuple[str, WallAnchor]:
    """The boot id and the wall anchor of a prober: all share the machine's clock where boot ids are equal."""
    metas = json.loads(server.fetch(vantage, f"runs/{run_id}/metas.json"))
    anchor = metas[0]["wall_anchor"]
    return str(metas[0]["boot_id"]), WallAnchor(anchor["monotonic_ns"], anchor["unix_ns"])


def fetch_scan(server: Server, run_id: str, vantage: str, problem: str) -> FinalScan:
    """What is known of the final scan beyond its rows; problem: why the members had not converged before, or ''."""
    notes = json.loads(server.fetch(vantage, f"runs/{run_id}/scans.json"))
    return final_scan(notes, problem)


def final_scan(notes: Sequence[dict[str, Any]], problem: str) -> FinalScan:
    """The scan of the primary decides, or that of all members together, which is noted like it: pure."""
    deciding = [note for note in notes if note["primary"]]
    failed = "; ".join(note["problem"] for note in notes if note["problem"])
    if not deciding:
        return FinalScan(not problem, None, None, problem or failed or "no primary was scanned")
    last = deciding[-1]
    local = {note["server"]: note["elements"] for note in notes if not note["primary"] and note["elements"] is not None}
    return FinalScan(not problem, last["elements"], last["server"], problem or failed, local)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a prober's process has taken so far: seconds of processor time, at a moment of the monotonic clock."""

    cpu_seconds: float
    at_seconds: float


def spent(server: Server, vantage: str) -> Spent:
    """What the prober of a zone has taken so far."""
    text = server.fetch(vantage, "metrics").decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "process_cpu_seconds_total":
                return Spent(sample.value, time.monotonic())
    raise LookupError(f"The prober of zone {vantage} does not say what it takes. Mend: make up.")


def cores(before: Mapping[str, Spent], after: Mapping[str, Spent]) -> dict[str, float]:
    """Cores taken between two looks, by vantage; a prober that died in between is left out: pure."""
    return {
        vantage: round(
            (after[vantage].cpu_seconds - first.cpu_seconds) / (after[vantage].at_seconds - first.at_seconds), 4
        )
        for vantage, first in before.items()
        if vantage in after and after[vantage].cpu_seconds >= first.cpu_seconds
    }
