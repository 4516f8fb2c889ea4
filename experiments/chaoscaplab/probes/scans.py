"""The final scans of a run: which its loads need, and what is known of each beyond its rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from caplab.model.runs import COUNTER_SCAN, REGISTER_SCAN, SET_SCAN, FinalScan

_SCAN_OF: Mapping[str, str] = {
    "set": SET_SCAN,
    "register": REGISTER_SCAN,
    "register-multi": REGISTER_SCAN,
    "cas": REGISTER_SCAN,
    "cache": REGISTER_SCAN,  # of the database behind it
    "counter": COUNTER_SCAN,
}

Note = Mapping[str, Any]  # what a prober notes about each endpoint that it scanned


def scans_of(loads: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the workloads of the scans that show what loads leave behind; the first one is the run's record.

    If no load leaves anything, it is that of sets: a run without a final scan would look as if its scan had been lost.
    """
    needed = {_SCAN_OF.get(load["workload"]) for load in loads}
    return tuple(scan for scan in (SET_SCAN, REGISTER_SCAN, COUNTER_SCAN) if scan in needed) or (SET_SCAN,)


def final_scan(
    notes: Sequence[Note],
    unconverged: str,
    scans: Sequence[str] = (SET_SCAN,),
    failed: Mapping[str, str] | None = None,
) -> FinalScan:
    """Build the record of the first of scans (workloads), with those of the others in its field keyed.

    unconverged: why members lacked something that was written before, or ''. failed: why a scan failed, by workload, as
    its Probe says.
    """
    first, *others = (
        _record([note for note in notes if note["workload"] == scan], unconverged, (failed or {}).get(scan, ""))
        for scan in scans
    )
    return replace(first, keyed=dict(zip(scans[1:], others, strict=True)))


def _record(notes: Sequence[Note], unconverged: str, failed: str) -> FinalScan:
    """Build a record. The scan of the primary decides, or that of all members together, which is noted like it."""
    deciding = [note for note in notes if note["primary"]]
    problem = unconverged or "; ".join(note["problem"] for note in notes if note["problem"]) or failed
    if not deciding:
        return FinalScan(
            converged=not unconverged, elements=None, server=None, problem=problem or "no primary was scanned"
        )
    last = deciding[-1]
    local = {note["server"]: note["elements"] for note in notes if not note["primary"] and note["elements"] is not None}
    return FinalScan(
        converged=not unconverged,
        elements=last["elements"],
        server=last["server"],
        problem=problem,
        local=local,
        invoke_ns=last["invoke_ns"],
    )
