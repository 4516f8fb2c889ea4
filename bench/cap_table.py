"""Write docs/cap-table.md: what every row of the expectations promises, beside what was measured of it.

python bench/cap_table.py                                 # write the page anew
python bench/cap_table.py --check                         # exit code 1 if it is not up to date
python bench/cap_table.py --add results/<time>-<suite>    # take over a suite's verdicts first
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from caplab_cluster.paths import REPOSITORY

from caplab.contract.engines import ENGINES
from caplab.files import expectations_file, results
from caplab.model.fields import FieldError
from caplab.report.cap_table.evidence import Evidence
from caplab.report.cap_table.page import cap_table
from caplab.run import plans
from caplab.run.plans import Machine

_FOLDER = re.compile(r"(\d{8}-\d{6})-(.+)")
_WITHOUT_PRIMARY = frozenset(engine.name for engine in ENGINES if not engine.has_primary)


@dataclass(frozen=True, slots=True)
class Places:
    """Paths of the table, its evidence and the page."""

    expectations: Path = REPOSITORY / "experiments" / "expectations.yaml"
    evidence: Path = REPOSITORY / "docs" / "evidence" / "cap"
    page: Path = REPOSITORY / "docs" / "cap-table.md"


def main(arguments: Sequence[str] | None = None, places: Places | None = None) -> int:
    """Return the exit code: 0, or 1 if the page is not up to date, or something cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--add", type=Path, action="append", default=[], metavar="FOLDER")
    parsed = parser.parse_args(arguments)
    try:
        return _main(parsed.check, parsed.add, places or Places())
    except (OSError, ValueError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1


def page(places: Places) -> str:
    """Return the page as it should be. Raises FieldError, which names the file and the field that is wrong."""
    files = sorted(places.evidence.glob("*.json"))
    evidence = [Evidence.from_json(file.name, _json(file)) for file in files]
    return cap_table(expectations_file.read(places.expectations), evidence, _WITHOUT_PRIMARY)


def add(folder: Path, evidence: Path) -> Path:
    """Copy a suite's verdict.json, with its time and machine; returns the copy. An older one never replaces a newer."""
    named = _FOLDER.fullmatch(folder.resolve().name)
    if not named:
        raise FieldError(f"'{folder}' is not a suite's folder. Hint: name one such as results/20261121-080423-core.")
    verdict = _json(folder / results.VERDICT)
    if not isinstance(verdict, dict):
        raise FieldError(f"{folder / results.VERDICT} has no verdicts of a suite.")
    begun = datetime.datetime.strptime(named[1], "%Y%m%d-%H%M%S").replace(tzinfo=datetime.UTC)
    made = {"date": f"{begun:%Y-%m-%d %H:%M:%S} UTC", "machine": _machine(folder), "suite": named[2], **verdict}
    new = Evidence.from_json(str(folder), made)
    copy = evidence / f"{named[2]}.json"
    if copy.exists() and Evidence.from_json(copy.name, _json(copy)).date > new.date:
        raise FieldError(f"{copy.name} is newer than {folder}. Hint: remove it first, to use the older one.")
    evidence.mkdir(parents=True, exist_ok=True)
    copy.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return copy


def _main(check: bool, folders: Sequence[Path], places: Places) -> int:
    for folder in folders:
        print(f"{folder} is in {add(folder, places.evidence).name}")
    text = page(places)
    if check:
        there = places.page.read_text(encoding="utf-8") if places.page.exists() else ""
        if there != text:
            print(f"{places.page.name} is not up to date. Hint: make cap-table", file=sys.stderr)
        return int(there != text)
    places.page.write_text(text, encoding="utf-8")
    return 0


def _machine(folder: Path) -> dict[str, int | float | None]:
    """Return the machine of the suite's plan; if it has none, a machine such as this one, under an unknown load."""
    if (folder / plans.PLAN).is_file():
        return asdict(plans.read(folder).machine)
    return {**asdict(Machine.here()), "load": None}


def _json(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FieldError(f"{file}: not JSON: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
