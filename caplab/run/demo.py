"""`caplab demo`: a recorded suite, checked and judged anew before the user's eyes; it needs no cluster."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..check.finding import State
from ..command_error import CommandError
from ..files import results
from ..files.documents import replaced
from ..files.packaged import recorded_folder
from ..judging import judge_folder
from ..plain_text import Out, plural, report_columns, wants_colour
from ..report import words
from ..report.progress import announcement
from ..report.terminal import render_run, render_suite
from ..report.values import RunReport
from . import pages, plans, stored
from .plans import SuitePlan

_RECORDED = (results.RECORD, results.HISTORY, results.JOURNAL)  # of a run; everything else is made from them
_MUST_SHOW = (
    '"must show": a cost that these settings are known to have. A run that does not show it proves nothing, and is'
    " NOT PROVEN."
)
_MAKE_THEM = "to make these runs yourself, on a kind cluster: make chaos SUITE=demo, in a checkout"
_DESKTOPS = ("DISPLAY", "WAYLAND_DISPLAY")  # of Linux: without one, a browser would take the terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The command line's options: where the results go, whether a browser may open, whether every figure is printed."""

    folder: Path
    may_open: bool = True
    verbose: bool = False


def demo(options: DemoOptions, out: Out = sys.stdout) -> int:
    """Judge the recorded runs, print and write their reports, and open the page. Returns the exit code of a suite.

    Raises CommandError if the recordings are not there, or the folder is somebody else's, or cannot be written to.
    """
    try:
        page, states = _shown(options, out)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not UTF-8"
        raise CommandError(
            f"{options.folder}: {reason}. Hint: name a folder with room that you may write to (--output FOLDER)."
        ) from error
    if options.may_open and has_desktop(sys.platform, os.environ):
        webbrowser.open(page.resolve().as_uri())
    return stored.exit_code(states, 0)


def _shown(options: DemoOptions, out: Out) -> tuple[Path, list[State]]:
    plan = _copied(recorded_folder(), options.folder)
    runs = plural(len(plan.runs), "run")
    print(f"{runs} recorded on a kind cluster of 3 nodes, checked and judged anew here", file=out)
    ended: list[RunReport] = []
    for run in plan.runs:
        print(announcement(run.number, len(plan.runs), run.name, "checking"), file=out, flush=True)
        ended.append(_judged(options.folder / run.folder, out))
        colour = wants_colour(out)
        print(render_run(ended[-1], colour=colour, verbose=options.verbose, width=report_columns()), file=out)
    print(render_suite(ended, colour=wants_colour(out), verbose=options.verbose, width=report_columns()), file=out)
    stored.write_reports(options.folder, plan, ended)
    page = pages.write_suite(options.folder, {})
    print(f"{_wrapped(_MUST_SHOW)}\n\nresults: {options.folder}\nreport: {page}", file=out)
    print(_wrapped(_MAKE_THEM), file=out, flush=True)
    return page, [report.verdict.state for report in ended]


def _wrapped(sentence: str) -> str:
    return textwrap.fill(sentence, report_columns(), break_on_hyphens=False)


def _judged(folder: Path, out: Out) -> RunReport:
    """Check and judge a run, and print how long that took; its verdict replaces the recorded one."""
    began = time.monotonic()
    journal = results.read_journal(folder)
    outcome = journal["caplab"]
    judged = judge_folder(folder)
    seconds = time.monotonic() - began
    count = results.read_history(folder).num_rows
    print(f"  {words.counted(count)} operations checked and judged in {seconds:.1f} s", file=out)
    if outcome["verdict"] != judged.verdict.state.value:
        print(f"  note: when it was recorded, it was {outcome['verdict']}: the row has changed since", file=out)
    outcome = {**outcome, **judged.verdict.to_json()}
    results.write_journal(folder, {**journal, "caplab": outcome})
    return stored.rendered(folder, outcome, judged)


def _copied(recorded: Path, folder: Path) -> SuitePlan:
    """Copy the recording to a folder that is new, empty, or an earlier demo's; return its plan."""
    try:
        plan = plans.read(recorded)
    except OSError as error:
        raise CommandError("No recorded runs came with this installation. Hint: pip install caplab.") from error
    os.fsencode(folder).decode()  # what reads histories takes no other names
    if folder.exists() and not _may_write(folder, recorded, plan):
        raise CommandError(f"{folder}: it holds something else. Hint: name another folder (--output FOLDER).")
    folder.mkdir(parents=True, exist_ok=True)
    _copy(recorded / plans.PLAN, folder / plans.PLAN)
    for run in plan.runs:
        (folder / run.folder).mkdir(exist_ok=True)
        for name in _RECORDED:
            _copy(recorded / run.folder / name, folder / run.folder / name)
    return plan


def _may_write(folder: Path, recorded: Path, plan: SuitePlan) -> bool:
    """Return whether a folder is empty, or holds the same recording, in folders of its own."""
    if not any(folder.iterdir()):
        return True
    if any((folder / run.folder).is_symlink() for run in plan.runs):
        return False
    earlier = folder / plans.PLAN
    return earlier.is_file() and earlier.read_bytes() == (recorded / plans.PLAN).read_bytes()


def _copy(source: Path, target: Path) -> None:
    """Copy a file, atomically; what it replaces may be a link."""
    with replaced(target) as draft:
        shutil.copyfile(source, draft)


def has_desktop(system: str, environment: Mapping[str, str]) -> bool:
    """Return whether a browser would open in a window of its own."""
    return system in ("darwin", "win32") or any(environment.get(name) for name in _DESKTOPS)
