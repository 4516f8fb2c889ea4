"""Suites' verdicts as written by `caplab run`, read from one folder, a folder of many, or a file."""

from __future__ import annotations

import datetime
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from caplab.check.finding import State, state_of
from caplab.command_error import CommandError
from caplab.contract.names import VERDICT_SCHEMA
from caplab.files import results
from caplab.files.documents import read_json
from caplab.model.fields import FieldError, Fields, Json
from caplab.report.cap_table.evidence import doubtful, number_of

from .values import IMAGE, MACHINE, SETTING, VERSION, Fact, Figure, Key, MeasuredRun, Results

_DEEPEST = 4  # folders below the one that is named: results, artifacts of a pipeline with results in them
_MAX_FOLDERS = 20_000
_STAMPED = re.compile(r"(\d{8})-(\d{6})-")  # how a run's id and a suite's folder begin
_MAX_MEASURED = 1e18  # of any unit; beyond it sums overflow
_GIB = 1 << 30
# The names of standbys depend on the primary, and their number on the moment.
_MEMBERS = re.compile(r'"[^"]*-\d+"(?:, ?"[^"]*-\d+")*')


def read(place: Path) -> Results:
    """Read the runs in a place; CommandError if it does not exist.

    A file in it that cannot be read is named, and the others are still read. A place without any verdict has no runs.
    """
    if not place.exists():
        raise CommandError(f"{place}: there is no such file or folder. Hint: name a folder of results, or one of many.")
    runs: dict[str, MeasuredRun] = {}
    failures: list[str] = []
    unread: list[str] = []
    for file in _files(place):
        try:
            suite = _suite(file)
        except OSError as error:
            unread.append(f"{file}: {error.strerror or error}")
        except ValueError as error:
            unread.append(str(error) if str(file) in str(error) else f"{file}: {error}")
        else:
            runs |= {run.run_id: run for run in suite.runs}
            failures += suite.failures
    in_order = sorted(runs.values(), key=lambda run: (run.began, run.run_id))
    return Results(place, tuple(in_order), tuple(failures), tuple(unread))


def refuse_as_output(file: Path, *places: Path) -> None:
    """Raise CommandError if a file to be written is one of those that are read."""
    verdicts = (verdict for place in places for verdict in _files(place))
    if file.exists() and any(verdict.exists() and file.samefile(verdict) for verdict in verdicts):
        raise CommandError(f"{file}: it is one of the results to be read. Hint: name another output file.")


def _files(place: Path) -> Iterator[Path]:
    """Yield the verdicts in a place, by name: those of suites are at the top of their folders."""
    if not place.is_dir():
        yield place
        return
    for count, (folder, folders, files) in enumerate(os.walk(place)):
        if count == _MAX_FOLDERS:
            raise CommandError(
                f"{place}: there are over {_MAX_FOLDERS:,} folders in it. Hint: name one that holds results."
            )
        here = Path(folder)
        if results.VERDICT in files:
            yield here / results.VERDICT
        deep = len(here.relative_to(place).parts) >= _DEEPEST
        folders[:] = [] if deep or results.VERDICT in files else sorted(name for name in folders if name[0] != ".")


@dataclass(frozen=True, slots=True)
class _Suite:
    runs: tuple[MeasuredRun, ...]
    failures: tuple[str, ...]


def _suite(file: Path) -> _Suite:
    fields = Fields.of(str(file), read_json(file))
    schema = fields.optional_text("schema")
    if schema not in (None, VERDICT_SCHEMA):
        raise FieldError(f"{file}: its schema {schema} is an unsupported version. Hint: use a newer caplab.")
    if not {"runs", "verdict"} <= fields.values.keys():
        raise FieldError(f"{file}: it is not a suite's {results.VERDICT}.")
    machine, name = fields.optional_object("machine"), fields.optional_text("suite") or "?"
    runs = tuple(_run(run, name, machine, _folder_time(file)) for run in fields.objects("runs"))
    return _Suite(runs, fields.texts("failures") if "failures" in fields.values else ())


def _folder_time(file: Path) -> str:
    return _time_in(file.resolve().parent.name)


def _time_in(name: str) -> str:
    """Return the time with which an id or a folder's name begins, as ISO 8601; '' if there is none."""
    stamp = _STAMPED.match(name)
    if not stamp:
        return ""
    try:
        moment = datetime.datetime.strptime(f"{stamp[1]}{stamp[2]}", "%Y%m%d%H%M%S")
    except ValueError:
        return ""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _run(fields: Fields, suite: str, machine: Fields | None, folder_time: str) -> MeasuredRun:
    run_id, row = fields.text("run"), fields.text("row")
    began = _began(fields) or _time_in(run_id) or folder_time
    if not began:
        raise FieldError(f"{fields.where}: it is not known when the run began. Hint: keep its folder's name.")
    properties = fields.objects("properties")
    return MeasuredRun(
        run_id=run_id,
        began=began,
        suite=suite,
        row=row,
        state=_state(fields),
        doubtful=doubtful(fields),
        figures=dict(figure for judged in properties if (figure := _figure(row, judged))),
        facts=_facts(fields, machine),
        load=number_of(machine, "load") if machine else None,
        has_primary=fields.boolean("has_primary") if "has_primary" in fields.values else True,
    )


def _state(fields: Fields) -> State:
    """Return a run's verdict: unknown if it is called valid although its own properties or reasons are against it."""
    state = state_of(fields, "verdict")
    return State.UNKNOWN if state is State.HOLDS and doubtful(fields) else state


def _began(fields: Fields) -> str:
    """Return it as ISO 8601 in UTC, since runs are sorted by it; '' if it is not recorded."""
    text = fields.optional_text("began")
    if text is None:
        return ""
    try:
        moment = datetime.datetime.fromisoformat(text)
        in_utc = moment.astimezone(datetime.UTC).isoformat(timespec="seconds") if moment.tzinfo else ""
    except (OverflowError, ValueError):
        in_utc = ""
    if not in_utc:
        raise fields.error("began", "a moment with its time zone, such as 2026-11-01T01:37:00Z")
    return in_utc.replace("+00:00", "Z")


def _figure(row: str, fields: Fields) -> tuple[Key, Figure] | None:
    """Return a figure; None if it was not measured, or cannot be trusted."""
    measured, state = number_of(fields, "measured"), state_of(fields, "state")
    if measured is None or not math.isfinite(measured) or state is State.UNKNOWN:
        return None
    if not 0 <= measured <= _MAX_MEASURED:
        raise fields.error("measured", f"a number from 0 to {_MAX_MEASURED:g}")
    where = (fields.optional_text(name) or "" for name in ("side", "route"))
    figure = Figure(
        value=measured,
        unit=fields.optional_text("unit") or "",
        at_least=fields.boolean("at_least") if "at_least" in fields.values else False,
        violated=state is State.VIOLATED,
        promise=fields.text("promise"),
        budget=fields.optional_text("budget"),
        limit=number_of(fields, "limit"),
    )
    return Key(row, fields.text("property"), *where), figure


def _facts(fields: Fields, machine: Fields | None) -> dict[Fact, str]:
    """Return what the run was made with, as texts; empty for a run of an older lab, which did not record it."""
    if "versions" not in fields.values:
        return {}
    facts = {Fact(VERSION, name): text for name, text in fields.text_map("versions").items()}
    facts |= {Fact(IMAGE, name): text for name, text in fields.text_map("images").items()}
    for part in ("settings", "specs"):
        values = fields.optional_object(part)
        flat = _flat("" if part == "settings" else part, values.values if values else {})
        facts |= {Fact(SETTING, name): text for name, text in flat}
    return facts | _of_machine(machine)


def _of_machine(machine: Fields | None) -> dict[Fact, str]:
    if machine is None:
        return {}
    texts = {name: machine.optional_text(name) for name in ("cpu", "architecture", "kernel")}
    memory = number_of(machine, "memory_bytes")
    sizes = {
        "cores": str(machine.integer("cores")),
        "memory": None if memory is None else f"{memory / _GIB:.0f} GiB",
    }
    return {Fact(MACHINE, name): text for name, text in {**sizes, **texts}.items() if text}


def _flat(where: str, value: Json) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{where}.{name}" if where else name, inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _flat(f"{where}[{number}]", inner)
    elif not _is_measured(where, value):
        yield where, _MEMBERS.sub("members", str(value))


def _is_measured(where: str, value: Json) -> bool:
    """Return whether a value is measured, not chosen: a self-ending fault's duration is a setting only for budgets."""
    return where == "faultSeconds" and isinstance(value, float) and not value.is_integer()
