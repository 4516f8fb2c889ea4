"""A run under way, for the tests of what it does."""

from __future__ import annotations

from pathlib import Path

from caplab.ownership import new_id
from caplab.run_context import Event, RunContext, current_run, hold


def begin_run(kind: str = "", run_id: str = "", namespace: str = "") -> RunContext:
    """Begin a run with a cluster of this kind, in this namespace."""
    run = RunContext(folder=Path("results"), run_id=run_id or new_id(), kind=kind, namespace=namespace)
    hold(run)
    return run


def write_run_id(path: str) -> None:
    """Write the id of the run under way, as an action of an experiment."""
    Path(path).write_text(current_run().run_id)


def switchover(cluster: str, lasted_ns: int) -> Event:
    """Make the event of a switchover that took so long."""
    begin, end = 10**18, 10**18 + lasted_ns
    return Event(
        kind="switchover", target=cluster, began_unix_ns=begin, ended_unix_ns=end, evidence=("seen",), proven=True
    )
