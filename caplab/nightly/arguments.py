"""The arguments of `caplab nightly`: a separate module, since the command line loads it at every start."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..contract import bounds
from ..plain_text import printable
from . import outcomes
from .outcomes import MAX_BYTES

_MAX_BASELINE = 20  # suites of a name
_MAX_PORT = 65_535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `caplab nightly`."""
    steps = parser.add_subparsers(dest="step", required=True)
    newest = steps.add_parser("newest", help="print the newest suite's folder in a folder of results")
    newest.add_argument("folder", type=Path)
    summary = steps.add_parser("summary", help="print the page of a suite: its outcome, CAP table, what changed")
    summary.add_argument("folder", type=Path, nargs="?", help="the suite's folder; none if it left none")
    summary.add_argument("--suite", default="", help="the suite's name, if there is no folder")
    summary.add_argument("--changes", type=Path, help="the file with the output of `caplab compare` in Markdown")
    summary.add_argument("--max-bytes", type=int, default=MAX_BYTES, help=f"cut it there (default: {MAX_BYTES:,})")
    verdict = steps.add_parser("judge", help="print the outcome, and end with the exit code of the job")
    verdict.add_argument("--word", action="store_true", help="only print the outcome, and end with 0")
    for step in (summary, verdict):
        step.add_argument("--run", type=_code, help="the exit code of `caplab run`")
        step.add_argument("--compare", type=_code, help="the exit code of `caplab compare`; empty: it was not called")
        step.add_argument("--fail-on", default=outcomes.DEFAULT_FAIL_ON, metavar="WORDS",
                          help=f"what fails the job: {', '.join(outcomes.EVERY)} by commas, or {outcomes.NOTHING} "
                               f"(default: {outcomes.DEFAULT_FAIL_ON})")  # fmt: skip
    keep = steps.add_parser("keep", help="add a suite to a rolling baseline: its figures, not its histories")
    keep.add_argument("folder", type=Path)
    keep.add_argument("--into", type=Path, required=True, metavar="BASELINE", help="the folder of earlier suites")
    keep.add_argument("--last", type=_positive, default=_MAX_BASELINE,
                      help=f"how many of each suite stay (default: {_MAX_BASELINE})")  # fmt: skip
    night = steps.add_parser("run", help="one night in a cluster that has the lab: run, compare, store, report")
    night.add_argument("suite", help="a suite, or an experiment")
    night.add_argument("--repeat", type=repeats, default=1, metavar="N",
                       help="execute each run N times (default: 1)")  # fmt: skip
    night.add_argument("--set", action="append", default=[], type=_setting, metavar="NAME=VALUE", dest="settings",
                       help="a setting of the experiments; repeat for more")  # fmt: skip
    night.add_argument("--namespace", required=True, help="the namespace of the clusters under test")
    night.add_argument("--minutes", type=_positive, default=180, help="how long the suite may take (default: 180)")
    night.add_argument("--fail-on", default=outcomes.DEFAULT_FAIL_ON, metavar="WORDS", help="as for judge")
    night.add_argument("--keep-days", type=_positive, metavar="N", help="prune what is older")
    night.add_argument("--keep-megabytes", type=_positive, metavar="N", help="prune the oldest above this size")
    night.add_argument("--last", type=_positive, default=_MAX_BASELINE,
                       help=f"how many of each suite stay in the baseline (default: {_MAX_BASELINE})")  # fmt: skip
    night.add_argument("--accept", action="store_true", help="add it to the baseline although it is invalid or worse")
    night.add_argument("--tell-always", action="store_true", help="report valid nights to the webhook too")
    serve = steps.add_parser(
        "serve", help="serve a web page that lists the nights and opens each summary, until Ctrl-C"
    )
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine's own)")
    serve.add_argument("--port", type=_port, default=8080, help="the port (default: 8080)")
    for step in (night, serve):
        step.add_argument("--results", type=Path, default=Path("results"), help="the folder (default: results)")
        step.add_argument(
            "--bucket", default="", metavar="URL", help="s3://BUCKET/PREFIX, to store results there instead"
        )


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"'{printable(text)}' is not NAME=VALUE")
    return name, value


def _code(text: str) -> int | None:
    """Parse an exit code; '' gives None: the command was not called, or did not end."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) < 256):
        raise argparse.ArgumentTypeError(f"'{printable(text)}' is not an exit code")
    return int(text)


def repeats(text: str) -> int:
    """Parse how often each run is made; ArgumentTypeError if not a positive integer, or over the bound."""
    if text.isascii() and text.isdigit() and (len(text) > 9 or int(text) > bounds.RUN_REPEATS):
        shown = text if len(text) <= 20 else f"{text[:17]}..."
        raise argparse.ArgumentTypeError(
            f"{shown} repeats are too many. Hint: make at most {bounds.RUN_REPEATS:,} at once, and compare several"
            " results"
        )
    return _positive(text)


def _port(text: str) -> int:
    port = _positive(text)
    if port > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"'{printable(text)}' is not a port")
    return port


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{printable(text)}' is not a positive integer")
    return int(text)
