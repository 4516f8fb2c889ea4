"""The arguments of `caplab demo` and `caplab report`: a separate module, loaded at every start of the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

DEMO_HELP = "check and judge four recorded runs, and show their report: no cluster is needed"
REPORT_HELP = "make report.html again, from the results of suites or runs alone"
PAGE, RECORD, CHARTS = "page", "record", "charts"  # what `caplab report` makes


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `caplab demo`."""
    add = parser.add_argument
    add("--output", type=Path, default=Path("caplab-demo"), metavar="FOLDER",
        help="where the results go (default: caplab-demo)")  # fmt: skip
    add("--no-open", action="store_true", help="open no browser; without a desktop none is opened anyway")
    add("--verbose", "-v", action="store_true", help="print every figure of each run")


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `caplab report`."""
    parser.add_argument("places", type=Path, nargs="+", metavar="RUN-OR-SUITE",
                        help="the folder of a suite (results/TIME-SUITE) or of a run in it")  # fmt: skip
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--record", action="store_const", const=RECORD, dest="kind", default=PAGE,
                       help="write the drill record for auditors instead: record.md and record.html")  # fmt: skip
    kinds.add_argument("--charts", action="store_const", const=CHARTS, dest="kind",
                       help="write each run's charts as SVG and PNG instead, in its folder charts")  # fmt: skip
