"""Keep a suite that `caplab run demo` made as the recording that `caplab demo` shows.

    python bench/record_demo.py results/<time>-demo

It keeps what was measured, and nothing that is made from it. A recording over MAX_BYTES, or with a run that has no
verdict, is refused.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from caplab.files import results
from caplab.run import plans

TARGET = Path(__file__).parent.parent / "docs" / "evidence" / "demo"
MAX_BYTES = 2_000_000
_OF_THE_MACHINE = ("folder",)  # fields of the outcome that are of no use elsewhere


def portable(journal: dict[str, Any]) -> dict[str, Any]:
    """Return a journal with nothing but the experiment's description and the lab's outcome, and that without paths."""
    return {
        "experiment": {"description": journal["experiment"]["description"]},
        "caplab": {name: value for name, value in journal["caplab"].items() if name not in _OF_THE_MACHINE},
    }


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def record(suite: Path, target: Path = TARGET) -> int:
    """Replace the recording by a suite's results; return its size in bytes. ValueError if it cannot be one."""
    plan = plans.read(suite)
    unjudged = [run.name for run in plan.runs if not results.is_judged(suite / run.folder)]
    if plan.suite != "demo" or unjudged:
        raise ValueError(f"{suite}: not a whole suite 'demo': {unjudged or plan.suite}")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for run in plan.runs:
        (part / run.folder).mkdir(parents=True)
        shutil.copyfile(suite / run.folder / results.RECORD, part / run.folder / results.RECORD)
        results.write_history(part / run.folder / results.HISTORY, results.read_history(suite / run.folder))
        results.write_journal(part / run.folder, portable(results.read_journal(suite / run.folder)))
    shutil.copyfile(suite / plans.PLAN, part / plans.PLAN)
    if size(part) > MAX_BYTES:
        raise ValueError(f"{part}: {size(part):,} bytes are more than {MAX_BYTES:,}")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return size(target)


if __name__ == "__main__":
    print(f"{record(Path(sys.argv[1])):,} bytes in {TARGET}")
