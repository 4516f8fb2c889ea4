"""What `caplab nightly` takes: apart, since the command line reads it at every start."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..plain_text import printable
from . import outcomes
from .outcomes import MOST_BYTES

_MOST_BASELINE = 20  # suites of a name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `caplab nightly` takes."""
    steps = parser.add_subparsers(dest="step", required=True)
    newest = steps.add_parser("newest", help="print the newest suite's folder in a folder of results")
    newest.add_argument("folder", type=Path)
    summary = steps.add_parser("summary", help="print the page of a suite: what came of it, CAP table, what changed")
    summary.add_argument("folder", type=Path, nargs="?", help="the suite's folder; none where it left none")
    summary.add_argument("--suite", default="", help="what the suite is called, where there is no folder")
    summary.add_argument("--changes", type=Path, help="the file with what `caplab compare` said, in Markdown")
    summary.add_argument("--most-bytes", type=int, default=MOST_BYTES, help=f"cut it there (default: {MOST_BYTES:,})")
    verdict = steps.add_parser("judge", help="say what came of it, and end with the exit code of the job")
    verdict.add_argument("--word", action="store_true", help="only print what came of it, and end with 0")
    for step in (summary, verdict):
        step.add_argument("--run", type=_code, help="the exit code of `caplab run`")
        step.add_argument("--compare", type=_code, help="the exit code of `caplab compare`; empty: it was not called")
        step.add_argument("--fail-on", default=outcomes.DEFAULT_FAIL_ON, metavar="WORDS",
                          help=f"what fails the job: {', '.join(outcomes.EVERY)} by commas, or {outcomes.NOTHING} "
                               f"(default: {outcomes.DEFAULT_FAIL_ON})")  # fmt: skip
    keep = steps.add_parser("keep", help="add a suite to a rolling baseline: its figures, not its histories")
    keep.add_argument("folder", type=Path)
    keep.add_argument("--into", type=Path, required=True, metavar="BASELINE", help="the folder of earlier suites")
    keep.add_argument("--last", type=_positive, default=_MOST_BASELINE,
                      help=f"how many of each suite stay (default: {_MOST_BASELINE})")  # fmt: skip


def _code(text: str) -> int | None:
    """An exit code; of a command that was not called, or did not come to its end, a pipeline has none."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < 256):
        raise argparse.ArgumentTypeError(f"'{printable(text)}' is no exit code")
    return int(text)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{printable(text)}' is no whole number from 1 on")
    return int(text)
