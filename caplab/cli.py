"""The `caplab` command."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from caplab_cluster.paths import Cache

from . import __version__
from .catalogue.options import EXPLAIN_HELP, LIST_HELP, add_explain, add_list
from .command_error import CommandError
from .command_line.completion import HELP as COMPLETION_HELP
from .command_line.completion import SHELLS, script
from .command_line.exits import LAB_FAILED, NOT_SHOWN, complain, run_command
from .command_line.parser import CommandParser
from .compare.options import HELP as COMPARE_HELP
from .compare.options import add_compare, add_trend
from .model.bounds import MAX_BYTES, MAX_ROWS, Bounds, rounded_up
from .model.bounds import parsed as parsed_size
from .nightly.arguments import add_arguments as add_nightly_arguments
from .nightly.arguments import repeats
from .plain_text import SteadyWriter, one_line, printable, terminal_columns, wants_colour
from .run.options import DEMO_HELP, REPORT_HELP, add_demo, add_report
from .subprocess_isolation import run_in_child
from .watch.options import HELP as WATCH_HELP
from .watch.options import add_watch

_DESCRIPTION = """\
Break replicated databases on Kubernetes (Postgres, Redis, Cassandra), measure what
clients see, and judge it by what the settings promise: how long nobody is served,
which acknowledged writes are gone, who reads old data."""
_EXAMPLES = """\
examples:
  caplab demo                                               four recorded runs: what you would get
  caplab list                                               what there is to run
  caplab explain postgres/kill-primary                      what it does, promises, and last measured
  caplab run postgres/kill-primary --set durability=async   kill a primary under load
"""
_LEFT = "the faults that were told to end still do so; `caplab faults` lists what has not ended yet"
_WIDEST = 160  # columns of a table that a terminal has room for


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parsed = parse(arguments)
    if parsed.command == "run":
        return run_command("run", lambda: _run(parsed), "no run is under way any longer")
    if parsed.command in _ISOLATED:
        command, interrupted = _ISOLATED[parsed.command]
        work = partial(run_command, parsed.command, partial(command, parsed), interrupted)
        # Fork only if this process is the command's own, with one thread: tests and others call this in theirs.
        return run_in_child(work, LAB_FAILED) if arguments is None else work()
    if parsed.command in ("faults", "heal"):
        return run_command(parsed.command, lambda: _faults(parsed), _LEFT)
    if parsed.command in _READERS:
        interrupted = "start it again" if parsed.command in _WRITERS else "nothing was changed"
        return run_command(parsed.command, lambda: _READERS[parsed.command](parsed), interrupted)
    from caplab_cluster.__main__ import main as cluster_command  # noqa: PLC0415  # so that others start faster

    return cluster_command([parsed.command])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line without doing anything; SystemExit if it is not valid."""
    parsed = _parser().parse(arguments)
    if parsed.command == "run" and not parsed.name:
        resumed = f": --resume took '{parsed.resume}' for a folder" if parsed.resume else ""
        parsed.refuse(f"name a suite or an experiment before all options{resumed}; caplab list shows them")
    return parsed


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="caplab", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"caplab {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="say whether this machine can run the lab, and what it lacks")
    add_list(commands.add_parser("list", help=LIST_HELP))
    add_explain(commands.add_parser("explain", help=EXPLAIN_HELP))
    run = commands.add_parser(
        "run", help="run a suite or an experiment; exit code 0 valid, 1 invalid, 2 unknown, 3 failed"
    )
    run.set_defaults(refuse=run.error)
    run.add_argument("name", nargs="?",
                     help="a suite (core), an experiment (postgres/kill-primary), or an experiment's file")  # fmt: skip
    run.add_argument("--plan", action="store_true", help="print the planned runs without executing them")
    run.add_argument("--repeat", type=repeats, help="execute each run N times (default: 1)", metavar="N")
    run.add_argument("--set", action="append", default=[], type=_setting, metavar="NAME=VALUE", dest="settings",
                     help="a setting of the experiment, instead of its default; repeat for more")  # fmt: skip
    run.add_argument("--results", type=Path, default=Path("results"), help="the folder for results (default: results)")
    run.add_argument("--keep", action="store_true", help="leave the clusters under test running")
    run.add_argument("--verbose", "-v", action="store_true",
                     help="print every figure of each run, not only its verdict and what was promised")  # fmt: skip
    run.add_argument("--resume", nargs="?", const="", metavar="FOLDER",
                     help="continue a suite that ended early: the newest of that name, or that in FOLDER; "
                          "runs that have a verdict are kept")  # fmt: skip
    check = commands.add_parser(
        "check", help="check a history; exit code 0 all holds, 1 some violated, 2 unknown, 3 it cannot be checked"
    )
    check.add_argument("path", type=Path, metavar="FILE-OR-RUN",
                       help="a history (Parquet, Arrow, CSV, JSON lines, Jepsen's EDN, JSON or log, elle-cli's JSON), "
                            "a run's folder, a test's of Jepsen, or a folder of several")  # fmt: skip
    check.add_argument("--checker", action="append", default=[], metavar="NAME",
                       help="run only this checker, even if it does not apply; repeat for more")  # fmt: skip
    check.add_argument("--verbose", "-v", action="store_true",
                       help="print every figure, whole witnesses, and why checkers are left out")  # fmt: skip
    check.add_argument("--json", action="store_true", help="print JSON, with every figure and witness")
    check.add_argument("--enough", type=_positive, metavar="N",
                       help="operations needed to say that a property holds (default: 1, or 20 for a run)")  # fmt: skip
    check.add_argument("--initial", type=_int64, metavar="N",
                       help="what registers and counters hold at first (default: nothing; counters 0)")  # fmt: skip
    check.add_argument("--level", type=_level, metavar="MODEL",
                       help="the isolation of transactions whose own is not in the history, such as "
                            "snapshot-isolation (default: strict-serializable)")  # fmt: skip
    check.add_argument("--budget", type=_positive, metavar="N",
                       help="states that the search for a register's order may look at (default: 300000)")  # fmt: skip
    convert = commands.add_parser(
        "convert", help="write a history in another format; exit code 0, or 3 if it cannot be read or held"
    )
    convert.add_argument("source", type=Path, metavar="IN", help="what `caplab check` takes, of one history")
    convert.add_argument("target", type=Path, metavar="OUT",
                         help="the file to write; its ending is its format: .parquet .arrow .arrows .csv .jsonl, "
                              ".edn (Jepsen), .json (elle-cli)")  # fmt: skip
    for command in (check, convert):
        _add_bounds(command)
    faults = commands.add_parser("faults", help="list the live faults of all namespaces, and lost nodes")
    faults.add_argument("--all", action="store_true", help="list faults that have ended too")
    heal = commands.add_parser(
        "heal",
        help="end all live faults at once, and bring lost nodes back; exit code 0 all ended, 3 something is left",
    )
    add_watch(watch := commands.add_parser("watch", help=WATCH_HELP))
    add_nightly_arguments(
        commands.add_parser("nightly", help="commands for CI pipelines and nightly runs: docs/pipelines.md")
    )
    add_compare(commands.add_parser("compare", help=COMPARE_HELP))
    add_trend(commands.add_parser("trend", help="draw the figures of results over time, as one HTML file"))
    add_demo(commands.add_parser("demo", help=DEMO_HELP))
    add_report(commands.add_parser("report", help=REPORT_HELP))
    commands.add_parser("completion", help=COMPLETION_HELP).add_argument("shell", choices=SHELLS)
    for command in (run, faults, heal, watch):
        command.add_argument(
            "--context", help="the kube context to use; without it, one is used only if its cluster is a lab"
        )
    return parser


def _add_bounds(command: argparse.ArgumentParser) -> None:
    rows = f"refuse a history with more rows, before it is read (default: {MAX_ROWS:,})"
    size = f"refuse a history that takes more memory (default: {rounded_up(MAX_BYTES)})"
    command.add_argument("--max-rows", type=_positive, default=MAX_ROWS, metavar="N", help=rows)
    command.add_argument("--max-bytes", type=_size, default=MAX_BYTES, metavar="SIZE", help=size)


def _run(parsed: argparse.Namespace) -> int:
    from .run.command import RunOptions, planned, run  # noqa: PLC0415  # Chaos Toolkit takes a second to load
    from .run.places import choose_lab  # noqa: PLC0415  # the API server's client is slow to load

    if parsed.resume is not None and (parsed.settings or parsed.repeat):
        print("FAILED: --resume keeps the settings and repeats that the suite was begun with. "
              "Hint: leave out --set and --repeat.", file=sys.stderr)  # fmt: skip
        return LAB_FAILED
    options = RunOptions(
        name=parsed.name,
        repeat=parsed.repeat or 1,
        settings=dict(parsed.settings),
        folder=parsed.results,
        keep=parsed.keep,
        verbose=parsed.verbose,
        resume=parsed.resume,
    )
    runs = planned(options)
    if parsed.plan:
        print("\n".join(runs))
        return 0
    _choose_cluster(parsed.context)
    out = SteadyWriter(sys.stdout)
    print(f"cluster: {one_line(choose_lab())}", file=out, flush=True)
    code = run(options, out)
    if out.problem:
        complain(f"FAILED: {NOT_SHOWN}: {out.problem}.")
    return LAB_FAILED if out.problem else code


def _list(parsed: argparse.Namespace) -> int:
    from .catalogue.command import list_all  # noqa: PLC0415  # YAML takes a while to load

    _print(list_all(parsed.kinds, terminal_columns(), wants_colour(sys.stdout)), end="")
    return 0


def _explain(parsed: argparse.Namespace) -> int:
    from .catalogue.command import explain  # noqa: PLC0415  # YAML takes a while to load
    from .report.grid import WIDTH  # noqa: PLC0415

    _print(explain(" ".join(parsed.name), min(WIDTH, terminal_columns()), wants_colour(sys.stdout)), end="")
    return 0


def _check(parsed: argparse.Namespace) -> int:
    from .checking import Assumptions, NotChecked, Output, command  # noqa: PLC0415  # numpy and pyarrow take half a second to load
    from .memory import keep_freed  # noqa: PLC0415
    from .report.findings.as_text import WIDTH  # noqa: PLC0415

    keep_freed()
    bounds = Bounds(parsed.max_rows, parsed.max_bytes)
    try:
        output = Output(as_json=parsed.json, verbose=parsed.verbose, width=min(WIDTH, terminal_columns()))
        assumed = Assumptions(
            enough=parsed.enough, initial=parsed.initial, budget=parsed.budget, level=parsed.level or ""
        )
        text, code = command(parsed.path, parsed.checker, assumed, output, bounds)
    except NotChecked as error:
        complain(f"FAILED: {error}")
        return LAB_FAILED
    _print(text, end="")
    return code


def _convert(parsed: argparse.Namespace) -> int:
    from .converting import convert  # noqa: PLC0415  # numpy and pyarrow take half a second to load

    _print(convert(parsed.source, parsed.target, Bounds(parsed.max_rows, parsed.max_bytes)), end="")
    return 0


def _faults(parsed: argparse.Namespace) -> int:
    from .faults import commands  # noqa: PLC0415  # the API server's client is slow to load

    def say(text: str) -> None:
        print(printable(text), flush=True)

    _choose_cluster(parsed.context)
    return commands.faults(parsed.all, say, complain) if parsed.command == "faults" else commands.heal(say, complain)


def _watch(parsed: argparse.Namespace) -> int:
    from .run.places import choose_lab  # noqa: PLC0415  # the API server's client is slow to load
    from .watch.command import WatchOptions, watch  # noqa: PLC0415

    _choose_cluster(parsed.context)
    return watch(WatchOptions(parsed.once, parsed.namespace), choose_lab())


def _nightly(parsed: argparse.Namespace) -> int:
    from .nightly.command import nightly  # noqa: PLC0415  # results are read by pyarrow, which is slow to load

    return nightly(parsed, _print)


def _report(parsed: argparse.Namespace) -> int:
    from .memory import keep_freed  # noqa: PLC0415
    from .run.reporting import report  # noqa: PLC0415  # numpy and pyarrow take half a second to load

    keep_freed()
    _print(report(parsed.places, parsed.kind), end="")
    return 0


def _demo(parsed: argparse.Namespace) -> int:
    from .memory import keep_freed  # noqa: PLC0415
    from .run.demo import DemoOptions, demo  # noqa: PLC0415  # numpy and pyarrow take half a second to load

    keep_freed()
    out = SteadyWriter(sys.stdout)
    may_open = not parsed.no_open and out.isatty()
    code = demo(DemoOptions(folder=parsed.output, may_open=may_open, verbose=parsed.verbose), out)
    if out.problem:
        complain(f"FAILED: {NOT_SHOWN}: {out.problem}.")
    return LAB_FAILED if out.problem else code


def _completion(parsed: argparse.Namespace) -> int:
    _print(script(_parser(), parsed.shell), end="")
    return 0


def _compare(parsed: argparse.Namespace) -> int:
    _require_scipy()
    from .compare.command import CompareOptions, compare  # noqa: PLC0415  # SciPy takes a second to load
    from .compare.weighing import Rule  # noqa: PLC0415
    from .report.grid import WIDTH  # noqa: PLC0415

    options = CompareOptions(
        base=parsed.base, new=parsed.new, last=parsed.last, newest=parsed.newest, least=parsed.min_runs,
        rule=Rule(parsed.false_alarms, parsed.min_change), form=parsed.format, every=parsed.all, save=parsed.save,
        width=min(_WIDEST, max(WIDTH, terminal_columns())),
    )  # fmt: skip
    shown, code = compare(options)
    _print(shown, end="")
    return code


def _trend(parsed: argparse.Namespace) -> int:
    from .trend.command import trend  # noqa: PLC0415  # what it reads results with is slow to load

    _print(trend(parsed.place, parsed.output, parsed.last), end="")
    return 0


def _print(text: str, end: str = "\n") -> None:
    try:
        print(text, end=end, flush=True)
    except OSError as error:  # of a closed pipe the reader knows; the rest must not be written again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise CommandError(f"{NOT_SHOWN}: {error.strerror}. Hint: make room, or write it elsewhere.") from error


_ISOLATED = {"check": (_check, "check again"), "convert": (_convert, "nothing was written")}
_WRITERS = ("compare", "demo", "nightly", "report", "trend")  # of whole files, one after the other
_READERS = {
    "list": _list,
    "explain": _explain,
    "watch": _watch,
    "compare": _compare,
    "trend": _trend,
    "nightly": _nightly,
    "report": _report,
    "demo": _demo,
    "completion": _completion,
}


def _require_scipy() -> None:
    """Raise CommandError if SciPy is not installed: the lab's images lack it."""
    if importlib.util.find_spec("scipy") is None:
        raise CommandError("SciPy is needed to compare, and is not installed. Hint: pip install scipy.")


def _choose_cluster(context: str | None) -> None:
    """Use the lab's own cluster, unless the environment or the command line names another."""
    from .kube.context import CONTEXT_VARIABLE  # noqa: PLC0415  # as slow as the API server's client

    kubeconfig = Cache.from_environment().kubeconfig
    if "KUBECONFIG" not in os.environ and not context and kubeconfig.exists():
        os.environ["KUBECONFIG"] = str(kubeconfig)
    if context:
        os.environ[CONTEXT_VARIABLE] = context


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive integer")
    return int(text)


def _level(text: str) -> str:
    from .check.isolation.models import asked  # noqa: PLC0415  # numpy and pyarrow take half a second to load

    if asked(text) is None:
        raise argparse.ArgumentTypeError(
            f"'{text[:60]}' is no model that is known: it is read-committed, snapshot-isolation, serializable or such"
        )
    return text


def _int64(text: str) -> int:
    if not re.fullmatch("-?[0-9]{1,19}", text) or not -(1 << 63) <= int(text) < 1 << 63:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 64 bits")
    return int(text)


def _size(text: str) -> int:
    try:
        return parsed_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    return name, value
