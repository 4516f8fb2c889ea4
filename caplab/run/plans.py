"""plan.json: the runs that a suite's folder should hold, so that an unfinished suite can be resumed."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..contract import bounds
from ..files.documents import read_json
from ..files.results import write_json
from ..model.fields import FieldError, Fields
from .suites import Suite, described

PLAN = "plan.json"
_LONGEST_NAME = 200  # characters of an experiment's


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run: number and repeat from 1 on; digest is that of its experiment's file (SHA-256)."""

    number: int
    experiment: str
    settings: Mapping[str, str]
    repeat: int
    digest: str

    @property
    def name(self) -> str:
        """Such as 'postgres/kill-primary durability=quorum'."""
        return described(self.experiment, self.settings)

    @property
    def folder(self) -> str:
        """The name of its folder in the suite's."""
        return f"{self.number:02d}-{self.experiment.replace('/', '-')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine on which a suite began; load is the load average of the minute before.

    cpu is the processor's model, architecture and kernel as uname reports them. '': it is not known.
    """

    cores: int
    memory_bytes: int
    load: float
    cpu: str = ""
    architecture: str = ""
    kernel: str = ""

    @classmethod
    def here(cls) -> Machine:
        """Describe the current machine."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        load = round(os.getloadavg()[0], 2)
        return cls(
            cores=os.cpu_count() or 1,
            memory_bytes=memory,
            load=load,
            cpu=_cpu(),
            architecture=platform.machine(),
            kernel=platform.release(),
        )


def _cpu(file: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's model, as Linux names it; '' if it does not."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    models = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return " ".join(next(models, "").split())


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePlan:
    """The plan. name is what the command line asked for, settings and repeat what it added to the suite's own."""

    suite: str
    name: str
    settings: Mapping[str, str]
    repeat: int
    machine: Machine
    runs: tuple[PlannedRun, ...]


def plan_of(suite: Suite, name: str, settings: Mapping[str, str], repeat: int, machine: Machine) -> SuitePlan:
    """Plan a suite; each run is repeated before the next. OSError if an experiment's file cannot be read."""
    every = [(planned, again) for planned in suite.runs for again in range(1, repeat + 1)]
    runs = tuple(
        PlannedRun(
            number=number,
            experiment=planned_run.experiment,
            settings=dict(planned_run.settings),
            repeat=again,
            digest=hashlib.sha256(planned_run.file.read_bytes()).hexdigest(),
        )
        for number, (planned_run, again) in enumerate(every, 1)
    )
    return SuitePlan(suite=suite.name, name=name, settings=dict(settings), repeat=repeat, machine=machine, runs=runs)


def write(folder: Path, plan: SuitePlan) -> None:
    """Write the plan to a suite's folder, atomically."""
    write_json(folder / PLAN, asdict(plan))


def read(folder: Path) -> SuitePlan:
    """Read a plan. OSError if it does not exist, FieldError if it is not a plan."""
    path = folder / PLAN
    try:
        return _plan(Fields.of(str(path), read_json(path)))
    except ValueError as error:
        advice = "" if "Hint: " in str(error) else " Hint: begin the suite anew, or name the folder of one of its runs."
        raise FieldError(f"{error}{advice}") from error


def difference(then: SuitePlan, now: SuitePlan) -> str:
    """Return the first run in which two plans differ, or ''; the content of the experiments does not count."""
    for old, new in zip(then.runs, now.runs, strict=False):
        if (old.experiment, old.settings, old.repeat) != (new.experiment, new.settings, new.repeat):
            return f"run {old.number} was '{_repeated(old)}' and is '{_repeated(new)}' now"
    shared = min(len(then.runs), len(now.runs))
    if gone := then.runs[shared:]:
        return f"run {gone[0].number}, '{_repeated(gone[0])}', no longer exists"
    if new_runs := now.runs[shared:]:
        return f"run {new_runs[0].number}, '{_repeated(new_runs[0])}', is new"
    return ""


def _repeated(run: PlannedRun) -> str:
    return run.name if run.repeat == 1 else f"{run.name}, repeat {run.repeat}"


def _plan(fields: Fields) -> SuitePlan:
    fields.only(*SuitePlan.__dataclass_fields__)
    runs = tuple(_run(run) for run in fields.objects("runs"))
    if len({run.folder for run in runs}) != len(runs):
        raise fields.error("runs", "of runs that have different numbers")
    machine = _machine(fields.object("machine"))
    settings, repeat = fields.text_map("settings"), fields.integer("repeat")
    if not 1 <= repeat <= bounds.RUN_REPEATS:
        raise fields.error("repeat", f"from 1 to {bounds.RUN_REPEATS:,}")
    return SuitePlan(
        suite=fields.text("suite"),
        name=fields.text("name"),
        settings=settings,
        repeat=repeat,
        machine=machine,
        runs=runs,
    )


def _run(fields: Fields) -> PlannedRun:
    fields.only(*PlannedRun.__dataclass_fields__)
    number, repeat = fields.integer("number"), fields.integer("repeat")
    if len(fields.text("experiment")) > _LONGEST_NAME:
        raise fields.error("experiment", f"a name of at most {_LONGEST_NAME} characters")
    return PlannedRun(
        number=number,
        experiment=fields.text("experiment"),
        settings=fields.text_map("settings"),
        repeat=repeat,
        digest=fields.text("digest"),
    )


def _machine(fields: Fields) -> Machine:
    fields.only(*Machine.__dataclass_fields__)
    try:
        load = fields.number("load")
    except FieldError as error:
        raise FieldError(f"{fields.where}: field 'load' must be a number. Hint: begin the suite anew.") from error
    names = {name: fields.optional_text(name) or "" for name in ("cpu", "architecture", "kernel")}  # not in older plans
    return Machine(cores=fields.integer("cores"), memory_bytes=fields.integer("memory_bytes"), load=load, **names)
