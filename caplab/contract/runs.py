"""The Run object: a run under way or over, with its findings as figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import bounds
from .objects import TIME, WORD, ZONE, Metadata
from .records import INT64, Record, body_field


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec(Record):
    """A Run's spec."""

    experiment: str = body_field(required=True, minLength=1, maxLength=100)
    engine: str = body_field(required=True, minLength=1, maxLength=40)
    mode: str = body_field(required=True, minLength=1, maxLength=40)
    fault: str = body_field(required=True, minLength=1, maxLength=60)
    suite: str | None = body_field(maxLength=60)
    seed: int = body_field(filled=0, **INT64)
    settings: Mapping[str, str] | None = body_field(maxProperties=40, items={"maxLength": 200})


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureBounds(Record):
    """The most that an expectation promises of figures."""

    failover_seconds: float | None = body_field()
    lost: float | None = body_field()
    stale_reads: float | None = body_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(Record):
    """The figures of a run; None: not measured."""

    failover_seconds: float | None = body_field()
    attempted: int | None = body_field(**INT64)
    acked: int | None = body_field(**INT64)
    survived: int | None = body_field(**INT64)
    lost: int | None = body_field(**INT64)
    unacked_found: int | None = body_field(**INT64)
    stale_reads: int | None = body_field(**INT64)
    ack_ratio: float | None = body_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFigures(Record):
    """An entry of a Run's status.bySide."""

    side: str = body_field(required=True, maxLength=40)
    route: str = body_field(required=True, **WORD)
    failover_seconds: float | None = body_field()
    lost: int | None = body_field(**INT64)
    stale_reads: int | None = body_field(**INT64)
    bounds: FigureBounds | None = body_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageFigures(Record):
    """An entry of a Run's status.byVantage."""

    vantage: str = body_field(required=True, **ZONE)
    route: str = body_field(required=True, **WORD)
    failover_seconds: float | None = body_field()
    attempted: int | None = body_field(**INT64)
    acked: int | None = body_field(**INT64)
    survived: int | None = body_field(**INT64)
    lost: int | None = body_field(**INT64)
    unacked_found: int | None = body_field(**INT64)
    stale_reads: int | None = body_field(**INT64)
    ack_ratio: float | None = body_field()
    bounds: FigureBounds | None = body_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus(Record):
    """A Run's status."""

    phase: str | None = body_field(**WORD)
    verdict: str | None = body_field(maxLength=10)
    reasons: tuple[str, ...] | None = body_field(maxItems=bounds.REASONS, items={"maxLength": bounds.REASON_CHARACTERS})
    started_at: str | None = body_field(**TIME)
    ended_at: str | None = body_field(**TIME)
    figures: Figures | None = body_field()
    bounds: FigureBounds | None = body_field()
    by_side: tuple[SideFigures, ...] | None = body_field(maxItems=40)
    by_vantage: tuple[VantageFigures, ...] | None = body_field(maxItems=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Record):
    """A Run."""

    metadata: Metadata = body_field(required=True)
    spec: RunSpec = body_field(required=True)
    status: RunStatus | None = body_field()
