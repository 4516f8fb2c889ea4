"""The options of `caplab compare` and `caplab trend`, without SciPy, which takes a second to load."""

from __future__ import annotations

import argparse
from pathlib import Path

FORMATS = ("text", "markdown", "json")
LAST = 20  # runs of a row before that are its baseline
MAX_RUNS = 100  # runs of a row on either side: the exact distribution of more takes too long
FALSE_ALARMS, MIN_CHANGE = 0.01, 0.05
COMPARED = "## Compared with earlier runs"  # the beginning of the Markdown page
HELP = "compare results with earlier ones; exit code 0 nothing is worse, 1 invalid or worse, 2 unknown, 3 failed"


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `caplab compare`."""
    add = parser.add_argument
    add("base", type=Path, metavar="BASE",
        help="earlier results: a suite's folder, a folder of many, or a verdict.json")  # fmt: skip
    add("new", type=Path, metavar="NEW", help="the results to judge, in one of these forms; they may be in BASE")
    add("--last", type=_runs, default=LAST, metavar="N",
        help=f"the last N earlier runs of each row are its baseline (default: {LAST})")  # fmt: skip
    add("--newest", type=_runs, metavar="N",
        help="judge only the newest N runs of each row of NEW (default: all)")  # fmt: skip
    add("--min-runs", type=_runs, default=1, metavar="N",
        help="if NEW has fewer runs of a row, judge its newest earlier runs too (default: 1)")  # fmt: skip
    add("--false-alarms", type=_part, default=FALSE_ALARMS, metavar="PART",
        help="the chance of any false alarm in the whole table (default: 1%%)")  # fmt: skip
    add("--min-change", type=_part, default=MIN_CHANGE, metavar="PART",
        help="ignore changes of less than this share of the earlier median (default: 5%%)")  # fmt: skip
    add("--format", choices=FORMATS, default="text", help="what to print (default: text)")
    add("--save", type=Path, metavar="FOLDER", help="also write compare.txt, compare.md and compare.json there")
    add("--all", action="store_true", help="also print figures that are the same in every run")


def add_trend(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `caplab trend`."""
    parser.add_argument("place", type=Path, metavar="RESULTS", help="a folder of results, as compare takes it")
    parser.add_argument("--output", type=Path, default=Path("trend.html"), metavar="FILE",
                        help="the page (default: trend.html)")  # fmt: skip
    parser.add_argument("--last", type=_runs, default=MAX_RUNS, metavar="N",
                        help=f"draw the last N runs of each row (default: {MAX_RUNS})")  # fmt: skip


def _runs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4) or not 1 <= int(text) <= MAX_RUNS:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer from 1 to {MAX_RUNS}")
    return int(text)


def _part(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share, such as 5% or 0.05")
    return value
