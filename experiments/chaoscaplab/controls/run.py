"""The control that makes a measured run: `controls: [{name: caplab, provider: {type: python, module: ...}}]`.

Before the experiment it brings the cluster to its settings, to a proven steady state, and under load. After the
experiment it makes the final scan, fetches the histories, writes the folder, and puts the verdict into the journal
under `caplab`. It works with the stock `chaos run`, and with `caplab run`, which gives it the run's context
(caplab.run_context).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from chaoslib.exceptions import InterruptExecution
from chaoslib.types import Activity, Configuration, Experiment, Journal, Run, Secrets

from caplab.files.results import write_run
from caplab.judging import judge_folder
from caplab.kube.errors import reason_of
from caplab.run_context import current_control, current_run, hold, keep_control, release

from ..server import Server
from .measured import MeasuredRun
from .plan import plan_of
from .report import RunObject

_log = logging.getLogger("caplab.run")


@dataclass
class _Control:
    """What the control keeps between Chaos Toolkit's calls for one experiment."""

    run: MeasuredRun | None = None
    problem: str = ""  # why the run could not begin


def before_experiment_control(
    context: Experiment, configuration: Configuration | None = None, secrets: Secrets | None = None
) -> None:
    """Prepare everything for the fault. Raises InterruptExecution if that is not possible."""
    keep_control(control := _Control())
    try:
        plan = plan_of(context, configuration or {}, secrets or {})
        run = replace(current_run(), kind=plan.cluster_engine.ENGINE.kind, namespace=plan.namespace)
        hold(run)
        server = Server(run)
        control.run = MeasuredRun(run, server, plan, context["title"], RunObject(server, plan, run))
        control.run.begin()
    except Exception as error:
        control.problem = f"The run could not begin: {reason_of(error)}"
        raise InterruptExecution(control.problem) from error


def after_experiment_control(context: Experiment, state: Journal) -> None:
    """Measure, judge, and write the verdict into the journal; the loads end in any case."""
    control, outcome = _control(), state.setdefault("caplab", {})
    run = control.run
    if control.problem or run is None or state.get("status") in ("interrupted", "aborted"):
        outcome["verdict"] = "unknown"
        outcome["error"] = control.problem or f"the experiment was {state.get('status')}"
    else:
        _measure(run, state, outcome)
    if run is not None and "error" in outcome:
        run.end_loads()
        run.run_object.failed(outcome["error"])


def before_activity_control(context: Activity) -> None:
    """Begin the marks of the experiment that begin with this step."""
    if run := _control().run:
        run.mark_tracker.step_begins(context["name"])


def after_activity_control(context: Activity, state: Run) -> None:
    """End the marks that end with this step, and time it as a stage; the times of a repeated step add up."""
    if run := _control().run:
        run.mark_tracker.step_ended(context["name"])
        run.stages.add(context["name"], float(state.get("duration") or 0.0))


def cleanup_control() -> None:
    """End the run's loads and release its namespace. Chaos Toolkit calls this in any case."""
    if run := _control().run:
        run.release()
    release()


def _control() -> _Control:
    control = current_control()
    return control if isinstance(control, _Control) else _Control()


def _measure(run: MeasuredRun, journal: Journal, outcome: dict[str, Any]) -> None:
    """Measure and judge, from the end of the loads on; if the lab fails, the verdict is unknown and says why."""
    folder = run.context.folder
    outcome.update(run=run.context.run_id, folder=str(folder), seconds=run.stages.seconds, labels=run.run_object.labels)
    try:
        record, history = run.finish(journal)
        write_run(folder, record, history)
        with run.stages.stage("judging"):
            judged = judge_folder(folder)
        outcome.update(judged.verdict.to_json())
        run.run_object.done(judged)
    except Exception as error:
        _log.error("the run could not be judged: %s", reason_of(error))
        logging.getLogger("chaostoolkit").error("the run could not be judged", exc_info=True)
        outcome["verdict"] = "unknown"
        outcome["error"] = f"{type(error).__name__}: {reason_of(error)}"
