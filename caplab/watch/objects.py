"""The lab's objects as lines of a picture. Pure. All their texts are made safe for a terminal here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from caplab.contract import meta
from caplab.contract.engines import Engine
from caplab.contract.objects import Fault, Metadata
from caplab.contract.phases import PENDING
from caplab.contract.records import BodyError
from caplab.contract.runs import Figures, Run, RunSpec, RunStatus
from caplab.faults.rows import UNREADABLE, Row, is_live, moment, row_of
from caplab.plain_text import one_line

from .values import ClusterLine, MemberLine, RunLine

Body = Mapping[str, Any]
_PRIMARY_ROLES = frozenset({"primary", "master"})


def cluster_of(engine: Engine, body: Body) -> ClusterLine:
    """Build the line of a cluster."""
    status = body.get("status") or {}
    primary = _text(status.get("primary"))
    return ClusterLine(
        engine=engine.name,
        has_primary=engine.has_primary,
        namespace=_text(meta.namespace_of(body)),
        name=_text(meta.name_of(body)),
        phase="Deleting" if meta.is_being_deleted(body) else _text(status.get("phase")) or PENDING,
        primary=primary,
        epoch=_text(status.get("epoch")),
        desired=int((body.get("spec") or {}).get("replicas") or 0),
        members=tuple(_member(member, primary) for member in status.get("members") or ()),
        trouble=_trouble(status),
    )


def live_faults(faults: Iterable[Fault], now: datetime) -> list[Row]:
    """Return those that may still hold something, the oldest first."""
    rows = [plain(row_of(fault, now)) for fault in faults if is_live(fault)]
    return sorted(rows, key=lambda row: (row.since_unix or 0.0, row.namespace, row.name))


def plain(row: Row) -> Row:
    """Return a fault whose words are safe to print on a terminal."""
    return replace(
        row,
        namespace=one_line(row.namespace),
        name=one_line(row.name),
        kind=one_line(row.kind),
        detail=one_line(row.detail),
        target=one_line(row.target),
        phase=one_line(row.phase),
        pods=tuple(map(one_line, row.pods)),
    )


def latest_runs(runs: Iterable[Body], most: int) -> list[RunLine]:
    """Return the runs that began last, the newest first."""
    lines = sorted(map(_run_of, runs), key=lambda run: run.started_unix or 0.0, reverse=True)
    return lines[:most]


def _run_of(body: Body) -> RunLine:
    try:
        return _run(Run.from_body(body))
    except BodyError as error:
        status = RunStatus(phase=UNREADABLE, reasons=(str(error),))
        return _run(
            Run(
                metadata=Metadata.from_body(body["metadata"], "metadata"),
                spec=RunSpec(experiment="", engine="", mode="", fault=""),
                status=status,
            )
        )


def _run(run: Run) -> RunLine:
    status = run.status or RunStatus()
    figures = status.figures or Figures()
    return RunLine(
        namespace=_text(run.metadata.namespace),
        experiment=_text(run.spec.experiment),
        mode=_text(run.spec.mode),
        phase=_text(status.phase) or PENDING,
        verdict=_text(status.verdict),
        reason=_text(next(iter(status.reasons or ()), "")),
        started_unix=_unix(status.started_at or run.metadata.creation_timestamp),
        ended_unix=_unix(status.ended_at),
        failover_seconds=figures.failover_seconds,
        lost=figures.lost,
        acked=figures.acked,
    )


def _member(member: Mapping[str, Any], primary: str) -> MemberLine:
    name = _text(member.get("name"))
    return MemberLine(
        name=name,
        zone=_text(member.get("zone")),
        is_primary=name == primary or member.get("role") in _PRIMARY_ROLES,
        is_ready=bool(member.get("ready")),
        state=_text(member.get("state")),
        lag_bytes=member.get("lagBytes"),
    )


def _trouble(status: Mapping[str, Any]) -> str:
    ready = meta.conditions_of(status).get("Ready")
    return _text(ready.get("message")) if ready and ready.get("status") != "True" else ""


def _text(value: object) -> str:
    return "" if value is None else one_line(str(value))


def _unix(stamp: str | None) -> float | None:
    at = moment(stamp)
    return at.timestamp() if at else None
