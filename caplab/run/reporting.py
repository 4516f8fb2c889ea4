"""`caplab report`: what is made from the results of suites and runs, without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..command_error import CommandError
from ..files import results
from . import drills, pages, plans, still_charts
from .options import CHARTS, PAGE, RECORD

_Writers = tuple[Callable[[Path], Sequence[Path]], Callable[[Path], Sequence[Path]]]  # of a suite, of a run
_WRITERS: Mapping[str, _Writers] = {
    PAGE: (lambda folder: [pages.write_suite(folder, {})], lambda folder: [pages.write_run(folder)]),
    RECORD: (drills.write_suite, drills.write_run),
    CHARTS: (still_charts.write_suite, lambda folder: [still_charts.write_run(folder)]),
}


def report(places: Sequence[Path], kind: str = PAGE) -> str:
    """Write what is asked for of each suite's or run's folder, and return a line for each path that was written.

    Raises CommandError if a folder is neither, or cannot be read or written.
    """
    return "".join(f"{path}\n" for place in places for path in _written(place, *_WRITERS[kind]))


def _written(
    place: Path, write_suite: Callable[[Path], Sequence[Path]], write_run: Callable[[Path], Sequence[Path]]
) -> Sequence[Path]:
    try:
        if (place / plans.PLAN).is_file():
            return write_suite(place)
        if (place / results.RECORD).is_file():
            return write_run(place)
    except OSError as error:
        raise CommandError(
            f"{error.filename or place}: {error.strerror}. Hint: name results that you may read and write."
        ) from error
    raise CommandError(f"{place}: no {plans.PLAN} and no {results.RECORD}. Hint: name the folder of a suite or a run.")
