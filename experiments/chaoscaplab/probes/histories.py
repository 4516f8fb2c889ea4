"""Fetch histories from the probers through the API server."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from prometheus_client.parser import text_string_to_metric_families

from caplab.contract.probers import page
from caplab.kube.errors import ApiError, reason_of
from caplab.model.history import Table
from caplab.model.runs import SET_SCAN, FinalScan, WallAnchor

from ..server import Server
from ..waiting import wait_until
from .scans import final_scan

ANSWER_SECONDS = 60.0  # a prober whose node was away is back as late as the node's other pods
# Metrics of the prober as a whole, whatever its loads.
_OF_PROBER = ("process_cpu_seconds_total", "caplab_prober_stall_seconds_total")


def fetch_when_up(server: Server, vantage: str, path: str) -> bytes:
    """Fetch what the prober of a zone serves at a path, and wait while there is no prober or it does not answer.

    Raises NotInTime with what came instead.
    """
    answers: list[bytes] = []

    def look() -> str:
        try:
            answers.append(server.fetch(vantage, path))
        except (LookupError, ApiError) as error:
            return reason_of(error).rstrip(".")
        return ""

    wait_until(f"the prober of zone {vantage} answers for {path}", look, ANSWER_SECONDS)
    return answers[0]


def fetch_history(server: Server, namespace: str, run_id: str, vantages: Sequence[str]) -> Table:
    """Fetch the history of a run from every vantage, as one table."""
    path = page(namespace, run_id, "history.arrow")
    with ThreadPoolExecutor(len(vantages)) as pool:
        answers = list(pool.map(lambda vantage: fetch_when_up(server, vantage, path), vantages))
    return pa.concat_tables([pa.ipc.open_stream(answer).read_all() for answer in answers])


def fetch_clock(server: Server, namespace: str, run_id: str, vantage: str) -> tuple[str, WallAnchor]:
    """Fetch the boot id and the wall anchor of a prober: probers of equal boot ids share the machine's clock."""
    metas = json.loads(fetch_when_up(server, vantage, page(namespace, run_id, "metas.json")))
    anchor = metas[0]["wall_anchor"]
    return str(metas[0]["boot_id"]), WallAnchor(anchor["monotonic_ns"], anchor["unix_ns"])


def fetch_scan(
    server: Server,
    namespace: str,
    run_id: str,
    vantage: str,
    unconverged: str,
    scans: Sequence[str] = (SET_SCAN,),
    failed: Mapping[str, str] | None = None,
) -> FinalScan:
    """Fetch the notes of a run's final scans. Returns what scans.final_scan makes of them."""
    notes = json.loads(fetch_when_up(server, vantage, page(namespace, run_id, "scans.json")))
    return final_scan(notes, unconverged, scans, failed)


@dataclass(frozen=True, slots=True)
class ProberUsage:
    """A prober's CPU seconds so far, and how long its event loop has stalled, in seconds, at a monotonic moment."""

    cpu_seconds: float
    at_seconds: float
    stall_seconds: float = 0.0


def prober_usage(server: Server, vantage: str) -> ProberUsage:
    """Fetch the usage of a zone's prober so far."""
    text = fetch_when_up(server, vantage, "metrics").decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    values = {sample.name: sample.value for sample in samples if sample.name in _OF_PROBER}
    try:
        cpu, still = (values[name] for name in _OF_PROBER)
    except KeyError as missing:
        raise LookupError(f"The prober of zone {vantage} does not export {missing.args[0]}. Hint: make up.") from None
    return ProberUsage(cpu, time.monotonic(), still)


def cores(before: Mapping[str, ProberUsage], after: Mapping[str, ProberUsage]) -> dict[str, float]:
    """Return the cores used between two observations, by vantage, without probers that died in between: pure."""
    return {
        vantage: round(
            (after[vantage].cpu_seconds - first.cpu_seconds) / (after[vantage].at_seconds - first.at_seconds), 4
        )
        for vantage, first in before.items()
        if vantage in after and after[vantage].cpu_seconds >= first.cpu_seconds
    }


def event_loop_stalls(before: Mapping[str, ProberUsage], after: Mapping[str, ProberUsage]) -> dict[str, float]:
    """Return the seconds that event loops stalled between two observations, by vantage; 0 is left out: pure."""
    still = {
        vantage: round(after[vantage].stall_seconds - first.stall_seconds, 3)
        for vantage, first in before.items()
        if vantage in after
    }
    return {vantage: seconds for vantage, seconds in still.items() if seconds > 0}
