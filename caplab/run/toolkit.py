"""Chaos Toolkit, driven in this process: rollbacks always, its output into a log, ours to the user."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from chaoslib.exceptions import ChaosException
from chaoslib.experiment import ensure_experiment_is_valid, run_experiment
from chaoslib.loader import load_experiment
from chaoslib.run import RunEventHandler

from ..files.documents import read_json, read_yaml
from ..model.fields import FieldError
from ..model.known_names import hint
from ..run_context import RunContext, held

# By default, rollbacks are skipped after an interrupt: a fault would outlive the run until its end.
_SETTINGS: Mapping[str, Any] = {"runtime": {"rollbacks": {"strategy": "always"}}}
_OUR_LOG, _TOOLKIT_LOG = "caplab.run", "chaostoolkit"


class Out(Protocol):
    """The stream to which a run's progress is printed."""

    def write(self, text: str, /) -> int:
        """Write a text."""

    def flush(self) -> None:
        """Flush it."""


class RunFailed(Exception):
    """The lab could not make the run; the message says why."""


def drive(file: Path, settings: Mapping[str, str], run: RunContext, out: Out) -> dict[str, Any]:
    """Run an experiment's file to its end, as this run; return the journal.

    settings override the experiment's configuration. Raises RunFailed if there is nothing to run, and
    KeyboardInterrupt, after the rollbacks, if the user interrupted it.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    with held(run), _logs(run.folder, out):
        try:
            experiment = _loaded(file)
            ensure_experiment_is_valid(experiment)
            _reject_unknown_settings(settings, experiment)
            progress = _Progress(out)
            journal: dict[str, Any] = run_experiment(
                experiment, settings=_SETTINGS, experiment_vars=(dict(settings), {}), event_handlers=[progress]
            )
        except ChaosException as error:
            raise RunFailed(str(error)) from error
    if progress.has_been_interrupted and not could_not_begin(journal):
        raise KeyboardInterrupt
    return journal


def _loaded(file: Path) -> Any:
    """Read an experiment within bounds before Chaos Toolkit, which has none, reads it. Raises RunFailed."""
    try:
        read_json(file) if file.suffix == ".json" else read_yaml(file)
    except OSError as error:
        raise RunFailed(f"{file}: {error.strerror or error}.") from error
    except FieldError as error:
        raise RunFailed(str(error)) from error
    return load_experiment(str(file))


def could_not_begin(journal: Mapping[str, Any]) -> bool:
    """Return whether the run's own control interrupted the experiment. Pure."""
    return "could not begin" in str((journal.get("caplab") or {}).get("error"))


def _reject_unknown_settings(settings: Mapping[str, str], experiment: Mapping[str, Any]) -> None:
    """Reject a setting that the experiment does not have: it would change nothing, silently."""
    declared = experiment.get("configuration", {})
    for name in settings:
        if name not in declared:
            raise RunFailed(f"The experiment has no setting '{name}'. Hint: {hint(name, declared)}")


class _Progress(RunEventHandler):  # type: ignore[misc]  # Chaos Toolkit has no types
    """Prints what is going on, with the time since the run began."""

    def __init__(self, out: Out) -> None:
        self._out, self._began = out, time.monotonic()
        self.has_been_interrupted = False

    def started(self, experiment: Mapping[str, Any], journal: Mapping[str, Any]) -> None:
        """Make SIGTERM act like Ctrl-C.

        Chaos Toolkit's own handler raises an exception that the current activity takes for a failure of its own, and
        the experiment goes on.
        """
        signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: object) -> None:
        self.has_been_interrupted = True
        raise KeyboardInterrupt

    def start_activity(self, activity: Mapping[str, Any]) -> None:
        self._say(f"{activity['name']} ...")

    def activity_completed(self, activity: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        if run.get("status") not in {"succeeded", None}:  # None: it was interrupted
            raised = run.get("exception") or [""]
            self._say(f"{activity['name']}: {run.get('status')}: {str(raised[-1]).strip()}")

    def start_rollbacks(self, experiment: Mapping[str, Any]) -> None:
        self._say("rolling back: healing any remaining faults")

    def signal_exit(self) -> None:
        self.has_been_interrupted = True

    def interrupted(self, experiment: Mapping[str, Any], journal: Mapping[str, Any]) -> None:
        self.has_been_interrupted = True

    def _say(self, text: str) -> None:
        print(f"  {time.monotonic() - self._began:6.1f} s  {text}", file=self._out, flush=True)


class _LogFile(logging.FileHandler):
    """A log that may lose records: a full disk is reported by the files that must be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's own name
        """Ignore the error."""


@contextmanager
def _logs(folder: Path, out: Out) -> Iterator[None]:
    """Send everything to the run's log, and the run's control's messages to the user."""
    file = _LogFile(folder / "run.log", encoding="utf-8", errors="replace")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    screen = logging.StreamHandler(out)
    screen.setFormatter(logging.Formatter("              %(message)s"))
    ours, toolkit = logging.getLogger(_OUR_LOG), logging.getLogger(_TOOLKIT_LOG)
    before = [(log, log.level, log.propagate) for log in (ours, toolkit)]
    for log in (ours, toolkit):
        log.setLevel(logging.INFO)
        log.propagate = False
        log.addHandler(file)
    ours.addHandler(screen)
    try:
        yield
    finally:
        ours.removeHandler(screen)
        for log, level, propagate in before:
            log.removeHandler(file)
            log.setLevel(level)
            log.propagate = propagate
        with suppress(OSError):
            file.close()
