"""The final scan: what every member holds of a run, one row an element, and a note of how the scan went.

Before it starts a scan, the caller makes sure that the members have converged.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from caplab.contract.objects import REPLICA

from . import clock
from .history.meta import write_json
from .history.recorder import Recorder
from .history.writer import Row
from .links import Client, Endpoint, NotDone, Scan, Topology
from .load.workloads import Writer

_TRIES = 5
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointScan:
    """The result of one endpoint's scan, by its workload. elements is None if it failed; problem then says why."""

    workload: str
    endpoint: str
    server: str | None
    epoch: str | None
    primary: bool
    invoke_ns: int
    elements: int | None
    problem: str = ""


async def run_scan(writer: Writer, client: Client, topology: Topology, folder: Path, recorder: Recorder) -> None:
    """Scan the endpoints of the probe's routes one after the other, and write scan-NN.json beside the rows.

    Members come first, each by itself, and the Service last. A read of Cassandra through the Service asks all members
    at once and may repair the differences that it finds, so the other order would wipe out the evidence.

    All rows of one scan share their invoke_ns. Raises NotDone if an endpoint could not be scanned.
    """
    notes = [
        await _scan_endpoint(writer, client, route, endpoint, recorder)
        for route, endpoint in _endpoints(writer.spec.routes, topology)
    ]
    write_json(folder / f"scan-{writer.incarnation:02d}.json", [asdict(note) for note in notes])
    if not notes:
        raise NotDone("no endpoint of the target is known")
    if problems := [note.problem for note in notes if note.problem]:
        raise NotDone("; ".join(problems))


def read_notes(folder: Path) -> list[dict[str, Any]]:
    """Return the notes of all scans of a run's folder in the order they were made, each with its scan's incarnation."""
    return [
        {**note, "incarnation": int(path.stem.removeprefix("scan-"))}
        for path in sorted(folder.glob("scan-*.json"))
        for note in json.loads(path.read_text())
    ]


def _endpoints(routes: tuple[str, ...], topology: Topology) -> list[tuple[str, Endpoint]]:
    members = [("direct", member) for member in topology.members if set(routes) & {"direct", "any", REPLICA}]
    return members + ([("service", topology.service)] if "service" in routes and topology.service else [])


async def _scan_endpoint(
    writer: Writer, client: Client, route: str, endpoint: Endpoint, recorder: Recorder
) -> EndpointScan:
    """Scan one endpoint; as a read changes nothing, it may be retried."""
    problem, workload = "", writer.spec.workload
    for attempt in range(_TRIES):
        await asyncio.sleep(_RETRY_SECONDS if attempt else 0)
        invoke_ns = clock.now_ns()
        try:
            scan = await client.scan(endpoint, workload, writer.spec.run_id)
        except NotDone as error:
            problem = str(error)
            continue
        for key, value in scan.elements:
            recorder.add(_row(writer, route, scan, key, value, invoke_ns))
        count = len(scan.elements)
        return EndpointScan(
            workload=workload,
            endpoint=endpoint.name,
            server=scan.server,
            epoch=scan.epoch,
            primary=scan.primary,
            invoke_ns=invoke_ns,
            elements=count,
        )
    return EndpointScan(
        workload=workload,
        endpoint=endpoint.name,
        server=None,
        epoch=None,
        primary=False,
        invoke_ns=invoke_ns,
        elements=None,
        problem=problem,
    )


def _row(writer: Writer, route: str, scan: Scan, key: str | None, value: int, invoke_ns: int) -> Row:
    return Row(
        vantage=writer.spec.vantages[writer.vantage],
        session=0,
        op="scan",
        key=key,
        value=value,
        expected=None,
        observed=value,
        level=None,
        route=route,
        server=scan.server,
        epoch=scan.epoch,
        scheduled_ns=invoke_ns,
        invoke_ns=invoke_ns,
        return_ns=clock.now_ns(),
        outcome="ok",
        error=None,
    )
