"""The control that makes a measured run: `controls: [{name: caplab, provider: {type: python, module: ...}}]`.

Before the experiment it brings the cluster to its settings, to a proven steady state, and under load. After the
experiment it makes the final scan, fetches the histories, writes the folder, and puts the verdict into the journal
under `caplab`. It works with the stock `chaos run` and with `caplab run`, which sets CAPLAB_RUN_FOLDER.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoslib.exceptions import InterruptExecution
from chaoslib.types import Activity, Configuration, Experiment, Journal, Run, Secrets

from caplab.judging import judge_folder
from caplab.ownership import new_id
from caplab.results import write_run

from ..server import Server, sentence
from .measured import MeasuredRun
from .plan import plan_of
from .report import RunObject

FOLDER_VARIABLE, SUITE_VARIABLE = "CAPLAB_RUN_FOLDER", "CAPLAB_SUITE"
_log = logging.getLogger("caplab.run")


@dataclass
class _State:
    """The state between the calls for one experiment: Chaos Toolkit itself keeps none."""

    run: MeasuredRun | None = None
    problem: str = ""  # why the run could not begin


_state = _State()


def before_experiment_control(
    context: Experiment, configuration: Configuration | None = None, secrets: Secrets | None = None
) -> None:
    """Prepare everything for the fault. Raises InterruptExecution if that is not possible."""
    _state.run, _state.problem = None, ""
    try:
        plan = plan_of(context, configuration or {}, secrets or {})
        server = Server()
        run_id = new_id()
        run_object = RunObject(server, plan, run_id, os.environ.get(SUITE_VARIABLE, ""))
        _state.run = MeasuredRun(server, plan, run_id, context["title"], run_object)
        _state.run.begin()
    except Exception as error:
        _state.problem = f"The run could not begin: {sentence(error)}"
        raise InterruptExecution(_state.problem) from error


def after_experiment_control(context: Experiment, state: Journal) -> None:
    """Measure, judge, and write the verdict into the journal; the loads end in any case."""
    run, outcome = _state.run, state.setdefault("caplab", {})
    if _state.problem or run is None or state.get("status") in ("interrupted", "aborted"):
        outcome["verdict"] = "unknown"
        outcome["error"] = _state.problem or f"the experiment was {state.get('status')}"
    else:
        _measure(run, state, outcome)
    if run is not None and "error" in outcome:
        run.end_loads()
        run.run_object.failed(outcome["error"])


def before_activity_control(context: Activity) -> None:
    """Begin the marks of the experiment that begin with this step."""
    if _state.run is not None:
        _state.run.mark_tracker.step_begins(context["name"])


def after_activity_control(context: Activity, state: Run) -> None:
    """End the marks that end with this step, and time it as a stage; the times of a repeated step add up."""
    if _state.run is not None:
        _state.run.mark_tracker.step_ended(context["name"])
        _state.run.stages.add(context["name"], float(state.get("duration") or 0.0))


def cleanup_control() -> None:
    """End the run's loads and release its namespace. Chaos Toolkit calls this in any case."""
    if _state.run is not None:
        _state.run.release()
        _state.run = None


def _measure(run: MeasuredRun, journal: Journal, outcome: dict[str, Any]) -> None:
    """Measure and judge, from the end of the loads on; if the lab fails, the verdict is unknown and says why."""
    folder = folder_of(run.run_id)
    outcome.update(run=run.run_id, folder=str(folder), seconds=run.stages.seconds, labels=run.run_object.labels)
    try:
        record, history = run.finish(journal)
        write_run(folder, record, history)
        with run.stages.stage("judging"):
            judged = judge_folder(folder)
        outcome.update(judged.verdict.to_json())
        run.run_object.done(judged)
    except Exception as error:
        _log.error("the run could not be judged: %s", sentence(error))
        logging.getLogger("chaostoolkit").error("the run could not be judged", exc_info=True)
        outcome["verdict"] = "unknown"
        outcome["error"] = f"{type(error).__name__}: {sentence(error)}"


def folder_of(run_id: str) -> Path:
    """Return the folder of a run's results: CAPLAB_RUN_FOLDER, else one in results/ of the working folder."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else Path("results") / run_id / "run"
