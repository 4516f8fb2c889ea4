"""The arguments of `caplab list`: a separate module, since the command line loads it at every start."""

from __future__ import annotations

import argparse

from ..model.known_names import hint

KINDS = SUITES, EXPERIMENTS, ROWS, FAULTS, CHECKERS = ("suites", "experiments", "rows", "faults", "checkers")
EXPLAIN_HELP = "explain an experiment, a suite, a row, a fault or a checker: what is done, promised and measured"
LIST_HELP = "list what there is, with a sentence each: suites, experiments, rows, faults, checkers"


def add_list(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `caplab list`."""
    parser.add_argument("kinds", nargs="*", type=_kind, metavar="KIND",
                        help=f"{', '.join(KINDS)} (default: all, but rows are only counted)")  # fmt: skip


def add_explain(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `caplab explain`."""
    parser.add_argument("name", nargs="+", metavar="NAME", help="a name that `caplab list` shows")


def _kind(text: str) -> str:
    if text not in KINDS:
        raise argparse.ArgumentTypeError(f"there is no list of '{text}': {hint(text, KINDS)[:-1]}")
    return text
