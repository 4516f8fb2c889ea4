"""The arguments of `caplab list`: a separate module, since the command line loads it at every start."""

from __future__ import annotations

import argparse

KINDS = SUITES, EXPERIMENTS, ROWS, FAULTS, CHECKERS = ("suites", "experiments", "rows", "faults", "checkers")
LIST_HELP = "list what there is, with a sentence each: suites, experiments, rows, faults, checkers"


def add_list(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `caplab list`."""
    parser.add_argument("kinds", nargs="*", type=_kind, metavar="KIND",
                        help=f"{', '.join(KINDS)} (default: all, but rows are only counted)")  # fmt: skip


def _kind(text: str) -> str:
    if text not in KINDS:
        raise argparse.ArgumentTypeError(f"there is no list of '{text}', but of {', '.join(KINDS)}")
    return text
