"""The arguments of `caplab watch`: a separate module, since the command line loads it at every start."""

from __future__ import annotations

import argparse

HELP = "show the lab live in this terminal: clusters, faults, what clients get, the last verdicts"


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `caplab watch`."""
    parser.add_argument("--once", action="store_true",
                        help="print one picture and end, as without a terminal; exit code 0 all parts have answered, "
                             "3 something is unknown")  # fmt: skip
    parser.add_argument("--namespace", default="", help="show only what is in this namespace (default: all of them)")
