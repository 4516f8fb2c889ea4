"""What `caplab run` rejects before it asks a cluster: settings unknown to an experiment, modes without a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaoslib import substitute
from chaoslib.configuration import load_configuration
from chaoslib.exceptions import ChaosException

from ..contract.records import shown
from ..files.documents import read_yaml
from ..judging import expectations
from ..model.expectations import Expectations
from ..model.fields import FieldError
from ..model.known_names import hint
from .suites import Planned, Suite, row_template

_NUMBERS = {"int": int, "float": float}


def refuse_unfit(suite: Suite) -> None:
    """Raise FieldError for the first run that can't be made, or not judged, on any cluster.

    A file that is not an experiment is left to the run: it fails, and stops none of the others. If there are no others,
    it is refused.
    """
    files = {run.file for run in suite.runs}
    read = {file: _experiment(file, is_alone=len(files) == 1) for file in files}
    for run in suite.runs:
        experiment = read[run.file]
        configuration = experiment.get("configuration")
        if isinstance(configuration, dict):
            _refuse_settings(run, configuration)
            _refuse_without_row(run, experiment, configuration, expectations())


def _refuse_settings(run: Planned, configuration: Mapping[str, Any]) -> None:
    for name, value in run.settings.items():
        if name not in configuration:
            raise FieldError(f"{run.experiment} has no setting '{name}'. Hint: {hint(name, configuration)}")
        declared = configuration[name]
        kind = str(declared.get("env_var_type")) if isinstance(declared, dict) else ""
        if kind in _NUMBERS and not _is_number(value, kind):
            what = "a whole number" if kind == "int" else "a number"
            raise FieldError(f"{run.experiment}: setting '{name}' is {what}, not '{value}'. Hint: write one.")


def _is_number(text: str, kind: str) -> bool:
    try:
        return math.isfinite(_NUMBERS[kind](text))
    except ValueError:
        return False


def _refuse_without_row(
    run: Planned, experiment: Mapping[str, Any], configuration: Mapping[str, Any], table: Expectations
) -> None:
    """Reject a run without a row: it could not be judged."""
    try:
        row = _row(experiment, load_configuration(dict(configuration), dict(run.settings)))
    except (ChaosException, ValueError):  # from the environment: the run checks it
        return
    if row is None:
        return
    engine, mode, fault = row
    modes = [
        expectation.mode for expectation in table.rows if (expectation.engine, expectation.fault) == (engine, fault)
    ]
    if mode not in modes:
        names = ", ".join(name for name in configuration if f"${{{name}}}" in str(row_template(experiment).get("mode")))
        values = f"choose --set values ({names}) that give" if names else "choose --set values that give"
        advice = (
            f"{values} one of these modes: {', '.join(modes)}"
            if modes
            else "add a row to experiments/expectations.yaml"
        )
        raise FieldError(f"{run.name}: no row promises anything about {fault} with mode '{mode}', so a run could"
                         f" not be judged. Hint: {advice}.")  # fmt: skip


def _row(experiment: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return engine, mode and fault of the run's row; None if the experiment names none."""
    row = row_template(experiment)
    if not {"engine", "mode", "fault"} <= row.keys():
        return None
    put = substitute(row, dict(settings), {})
    return str(put["engine"]), str(put["mode"]), str(put["fault"])


def _experiment(file: Path, is_alone: bool) -> Mapping[str, Any]:
    """Read an experiment's file; empty if it is not an experiment. FieldError for one that is alone."""
    try:
        document = read_yaml(file)
        if not isinstance(document, dict):
            raise FieldError(
                f"{file}: it is not an experiment, but {shown(document)}. Hint: name an experiment's file."
            )
    except (OSError, FieldError) as error:
        if not is_alone:
            return {}
        if isinstance(error, OSError):
            raise FieldError(
                f"{file} cannot be read: {error.strerror}. Hint: name a file that you may read."
            ) from error
        raise
    return document
