"""The Run object of a run, which `kubectl get runs` and the dashboards show."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from caplab.check.finding import Finding
from caplab.contract import meta
from caplab.contract.bounds import REASON_CHARACTERS, REASONS
from caplab.contract.names import RUN
from caplab.contract.phases import DONE, FAILED, RUNNING
from caplab.contract.runs import FigureBounds, Figures, RunSpec, RunStatus, SideFigures, VantageFigures
from caplab.judging import JudgedRun
from caplab.model.expectations import Promise
from caplab.model.fields import Json
from caplab.ownership import run_of
from caplab.run_context import RunContext
from caplab.verdict import Judgement
from caplab.verdict.served import served_sides

from ..server import Server
from .plan import Plan

_KEPT = 30  # Run objects in a namespace; the oldest are removed
_DURABILITY = ("attempted", "acked", "survived", "lost", "unacked_found")
_AVAILABILITY = ("failover_seconds", "ack_ratio")
# Property of a row -> the figure that it bounds.
_BOUNDED: Mapping[str, str] = {"failoverTime": "failover_seconds", "lost": "lost", "stale": "stale_reads"}
_SECONDS = "failover_seconds"  # the other figures are counts
_ALL = "all"


class RunObject:
    """A Run object, written when the run begins and when it is judged."""

    def __init__(self, server: Server, plan: Plan, run: RunContext) -> None:
        self._server, self._plan, self._run_id = server, plan, run.run_id
        self._started = _now()
        self._begun = False
        self._spec = RunSpec(
            experiment=f"{plan.engine}/{'control' if plan.fault == 'none' else plan.fault}",
            engine=plan.engine,
            mode=plan.mode,
            fault=plan.fault,
            suite=run.suite or None,
            seed=plan.seed,
            settings={name: str(value) for name, value in plan.spec.items() if not isinstance(value, dict)},
        ).to_body()

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its metrics, and of those of the cluster under test."""
        own = {name: str(self._spec[name]) for name in ("engine", "experiment", "mode", "fault")}
        return {"cluster_namespace": self._plan.namespace, "cluster": self._plan.cluster, **own}

    def begun(self) -> None:
        """Publish that the run is under way."""
        self._prune()
        self._begun = True
        self._server.apply(RUN, self._plan.namespace, self._run_id, self._spec)
        self._publish(RunStatus(phase=RUNNING))

    def done(self, judged: JudgedRun) -> None:
        """Publish the run's verdict and figures."""
        findings = {finding.property: finding for finding in judged.findings}
        judgements = judged.verdict.judgements
        self._publish(
            RunStatus(
                phase=DONE,
                ended_at=_now(),
                verdict=judged.verdict.state.value,
                reasons=tuple(reason[:REASON_CHARACTERS] for reason in judged.verdict.reasons[:REASONS]),
                figures=_of_judged_side(figures_of(findings), judged),
                bounds=bounds_of_run(judged),
                by_side=tuple(by_side(judgements)),
                by_vantage=tuple(_bounded(row, judged) for row in by_vantage(findings)),
            )
        )

    def failed(self, why: str) -> None:
        """Publish that the lab could not judge the run; a run that never began is left out."""
        if not self._begun:
            return
        reasons = (why[:REASON_CHARACTERS],)
        self._publish(RunStatus(phase=FAILED, ended_at=_now(), verdict="unknown", reasons=reasons))

    def _publish(self, status: RunStatus) -> None:
        full = replace(status, started_at=self._started)
        self._server.apply_status(RUN, self._plan.namespace, self._run_id, full.to_body())

    def _prune(self) -> None:
        of_runs = [run for run in self._server.list(RUN, self._plan.namespace) if run_of(run)]
        runs = sorted(of_runs, key=meta.name_of)
        for run in runs[: max(0, len(runs) - _KEPT + 1)]:
            self._server.remove(RUN, run)


def figures_of(findings: Mapping[str, Finding]) -> Figures:
    """Return the figures of the run as a whole that were measured: pure."""
    return Figures(
        **_picked(_figures(findings, "durability"), _DURABILITY),
        **_picked(_figures(findings, "availability"), _AVAILABILITY),
        stale_reads=cast("int | None", _figures(findings, "staleness").get("stale")),
    )


def _of_judged_side(figures: Figures, judged: JudgedRun) -> Figures:
    """Return the figures, with the outage of the clients that the row judges instead of that of the worst vantage."""
    side = served_sides(judged.record, judged.verdict, judged.findings).judged
    return figures if side is None else replace(figures, failover_seconds=side.outage.seconds)


def bounds_of_run(judged: JudgedRun) -> FigureBounds:
    """Return the bounds of the run's own figures; the outage's is that of the clients that the row judges. Pure."""
    judgements = judged.verdict.judgements
    bounds = bounds_of(judgements) or FigureBounds()
    side = served_sides(judged.record, judged.verdict, judged.findings).judged
    of_side = bounds_of(judgements, side.side or None, side.route or None) if side else None
    return replace(bounds, failover_seconds=of_side.failover_seconds) if of_side else bounds


def bounds_of(
    judgements: Iterable[Judgement], side: str | None = None, route: str | None = None
) -> FigureBounds | None:
    """Return the row's bound on each figure: of the run as a whole, or on a side of the cut and a route. Pure.

    If several of its properties are about the same clients, the tightest bound counts. None: it has none.
    """
    bounds: dict[str, float] = {}
    for judgement in judgements:
        expected, limit = judgement.expected, _limit(judgement)
        is_about = expected.side in (None, side) and expected.route in (None, route)
        if is_about and limit is not None and expected.property in _BOUNDED:
            name = _BOUNDED[expected.property]
            bounds[name] = min(limit, bounds.get(name, limit))
    return FigureBounds(**bounds) if bounds else None


def by_side(judgements: Iterable[Judgement]) -> list[SideFigures]:
    """Return the figures that the row judges on a side of the cut or a route only, with their bounds: pure."""
    rows: dict[tuple[str, str], SideFigures] = {}
    for judgement in judgements:
        expected, figure = judgement.expected, _BOUNDED.get(judgement.expected.property)
        where = (expected.side or _ALL, expected.route or _ALL)
        if figure is None or where == (_ALL, _ALL):
            continue
        row = rows.get(where, SideFigures(side=where[0], route=where[1]))
        if (value := judgement.measured) is not None:
            measured: dict[str, Any] = {figure: value if figure == _SECONDS else int(value)}
            row = replace(row, **measured)
        if (limit := _limit(judgement)) is not None:
            row = replace(row, bounds=replace(row.bounds or FigureBounds(), **{figure: limit}))
        rows[where] = row
    return [rows[where] for where in sorted(rows)]


def _limit(judgement: Judgement) -> float | None:
    if judgement.expected.promise is Promise.FORBIDDEN:
        return 0.0
    return judgement.limit if judgement.expected.promise is Promise.BOUNDED else None


def _bounded(row: VantageFigures, judged: JudgedRun) -> VantageFigures:
    """Return the figures of a vantage and route, with the row's bounds there."""
    sides = judged.record.sides.items()
    side = next((side for side, vantages in sides if row.vantage in vantages), None)
    return replace(row, bounds=bounds_of(judged.verdict.judgements, side, row.route))


def by_vantage(findings: Mapping[str, Finding]) -> list[VantageFigures]:
    """Return the figures of each vantage and route; availability is of the writes that durability counts. Pure."""
    rows: dict[tuple[str, str], VantageFigures] = {}
    for checker, rows_in, names in (
        ("durability", "by_vantage", _DURABILITY),
        ("availability", "series", _AVAILABILITY),
    ):
        for row in _rows(_figures(findings, checker).get(rows_in)):
            if row.get("op", "add") == "add":
                where = (str(row["vantage"]), str(row["route"]))
                before = rows.get(where, VantageFigures(vantage=where[0], route=where[1]))
                rows[where] = replace(before, **_picked(row, names))
    return [rows[where] for where in sorted(rows)]


def _figures(findings: Mapping[str, Finding], checker: str) -> Mapping[str, Json]:
    return findings[checker].figures if checker in findings else {}


def _rows(value: Json) -> Sequence[Mapping[str, Json]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, Sequence) else []


def _picked(figures: Mapping[str, Json], names: Iterable[str]) -> dict[str, Any]:
    return {name: figures[name] for name in names if figures.get(name) is not None}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
