"""Rows, experiments and suites are of one piece: what is promised is run, and what is run is promised."""

from __future__ import annotations

from collections.abc import Iterable

from chaoscaplab.controls.plan import Plan, plan_of
from support.runs.experiment_files import loaded

from caplab.judging import expectations, experiments_folder
from caplab.model.expectations import Expectation, Expectations
from caplab.run import suites
from caplab.run.suites import Planned

FOLDER = experiments_folder()
SUITES = suites.names(FOLDER / "suites")
FULL = "full"  # the suite that has every experiment; as long as there is none, all suites together
RUNS = [(suite, run) for suite in SUITES for run in suites.find(FOLDER, suite, {}).runs]


def plan(run: Planned) -> Plan:
    """As a run of it is planned, with what is set for nothing else."""
    experiment = loaded(run.experiment)
    defaults = {name: value["default"] for name, value in experiment["configuration"].items()}
    return plan_of(experiment, {**defaults, **run.settings}, {})


def unrun(rows: Iterable[Expectation], plans: Iterable[Plan]) -> list[str]:
    """The rows that no run is of."""
    made = {(run.engine, run.mode, run.fault) for run in plans}
    return [row.name for row in rows if (row.engine, row.mode, row.fault) not in made]


def unpromised(table: Expectations, plans: Iterable[Plan]) -> list[str]:
    """The runs that no row is for."""
    rows = {(row.engine, row.mode, row.fault) for row in table.rows}
    made = dict.fromkeys((run.engine, run.mode, run.fault) for run in plans)
    return [" ".join(row) for row in made if row not in rows]


def left_out(experiments: Iterable[str], runs: Iterable[Planned]) -> list[str]:
    """The experiments that no run is of."""
    return sorted(set(experiments) - {run.experiment for run in runs})


def test_every_row_is_run_by_some_suite() -> None:
    missing = unrun(expectations().rows, [plan(run) for _, run in RUNS])
    assert missing == [], "Hint: add runs of these rows to a suite of experiments/suites, or take the rows out"


def test_every_run_of_a_suite_has_its_row() -> None:
    missing = unpromised(expectations(), [plan(run) for _, run in RUNS])
    assert missing == [], "Hint: add these rows to experiments/expectations.yaml, or take the runs out"


def test_every_experiment_is_in_the_full_suite() -> None:
    runs = [run for suite, run in RUNS if suite == FULL or FULL not in SUITES]
    missing = left_out(suites.experiments(FOLDER), runs)
    assert missing == [], f"Hint: add these experiments to experiments/suites/{FULL}.yaml"


def test_what_is_missing_is_named() -> None:
    _, run = RUNS[0]
    planned = plan(run)
    rows = expectations().rows
    others = [row for row in rows if (row.engine, row.mode, row.fault) != (planned.engine, planned.mode, planned.fault)]
    assert unrun(rows, [planned]) == [row.name for row in others]
    assert unpromised(Expectations(tuple(others)), [planned, planned]) == [
        f"{planned.engine} {planned.mode} {planned.fault}"
    ]
    assert left_out([run.experiment, "postgres/planted"], [run]) == ["postgres/planted"]
