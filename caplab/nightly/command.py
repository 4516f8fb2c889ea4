"""`caplab nightly`: the steps that a pipeline calls around `caplab run`."""

from __future__ import annotations

import argparse
import datetime
import os
from collections.abc import Callable, Mapping

from ..files.documents import read_text
from ..model.fields import FieldError
from . import folders
from .notify import ALERTMANAGER_VARIABLE, WEBHOOK_VARIABLE
from .outcomes import Codes, in_words, judge, plain, wanted, workflow_commands

PrintLine = Callable[[str], None]

# Addresses may be secrets, so they are not arguments; the pod's identity comes from its environment.
_FROM_ENVIRONMENT: Mapping[str, str] = {
    "webhook": WEBHOOK_VARIABLE,
    "alertmanager": ALERTMANAGER_VARIABLE,
    "runner": "CAPLAB_POD",
    "job": "CAPLAB_JOB",
}


def nightly(parsed: argparse.Namespace, print_line: PrintLine) -> int:
    """Run one step; return its exit code. Raises FieldError and OSError if something is missing or unreadable."""
    steps: dict[str, Callable[[argparse.Namespace, PrintLine], int]] = {
        "newest": _newest,
        "summary": _summary,
        "judge": _judge,
        "keep": _keep,
        "run": _run,
        "serve": _serve,
    }
    return steps[parsed.step](parsed, print_line)


def _newest(parsed: argparse.Namespace, print_line: PrintLine) -> int:
    kept = folders.suites(parsed.folder)
    if not kept:
        raise FieldError(f"{parsed.folder} has no suite's folder. Hint: name the folder given to caplab run --results.")
    print_line(str(kept[-1].path))
    return 0


def _summary(parsed: argparse.Namespace, print_line: PrintLine) -> int:
    if parsed.folder and not parsed.folder.is_dir():
        raise FieldError(f"there is no folder '{parsed.folder}'. Hint: name the suite's, or none if it left none.")
    changes = read_text(parsed.changes) if parsed.changes and parsed.changes.is_file() else ""
    from .suite_page import page_of  # noqa: PLC0415  # pyarrow is slow to load

    codes = _codes(parsed)
    print_line(page_of(parsed.folder, parsed.suite, codes, parsed.fail_on, changes=changes, max_bytes=parsed.max_bytes))
    return 0


def _judge(parsed: argparse.Namespace, print_line: PrintLine) -> int:
    fail_on = wanted(parsed.fail_on)
    if parsed.run is None:
        print_line(f"fails the job: {', '.join(sorted(outcome.value for outcome in fail_on)) or 'nothing'}")
        return 0
    codes = _codes(parsed)
    judgement = judge(codes, fail_on)
    if parsed.word:
        print_line(in_words(judgement))
        return 0
    if os.environ.get("GITHUB_ACTIONS") == "true":
        lines = workflow_commands(judgement, codes) or plain(judgement, codes)
    else:
        lines = plain(judgement, codes)
    for line in lines:
        print_line(line)
    return judgement.exit_code


def _keep(parsed: argparse.Namespace, print_line: PrintLine) -> int:
    if not folders.named(parsed.folder.resolve()):
        raise FieldError(f"'{parsed.folder}' is not a suite's folder. Hint: name one such as results/<time>-core.")
    kept = folders.add(parsed.folder.resolve(), parsed.into)
    bounds = folders.Bounds(last=parsed.last)
    gone = folders.prune(parsed.into, bounds, datetime.datetime.now(datetime.UTC))
    print_line(
        f"baseline: {kept.name} added, {len(gone)} of the oldest removed, {len(folders.suites(parsed.into))} kept"
    )
    return 0


def _run(parsed: argparse.Namespace, print_line: PrintLine) -> int:
    from . import leftovers  # noqa: PLC0415  # the API server's client is slow to load
    from .runner import Night, run_night  # noqa: PLC0415

    days, megabytes = parsed.keep_days, parsed.keep_megabytes
    bounds = folders.Bounds(datetime.timedelta(days=days) if days else None, megabytes * 10**6 if megabytes else None)
    night = Night(
        suite=parsed.suite, repeat=parsed.repeat, settings=dict(parsed.settings), namespace=parsed.namespace,
        results=parsed.results.absolute(), bucket=parsed.bucket, fail_on=parsed.fail_on, seconds=60.0 * parsed.minutes,
        bounds=bounds, keep_last=parsed.last, accept=parsed.accept, tell_always=parsed.tell_always,
        **{name: value for name, variable in _FROM_ENVIRONMENT.items() if (value := os.environ.get(variable))},
    )  # fmt: skip
    return run_night(night, leftovers.remove, print_line)


def _serve(parsed: argparse.Namespace, print_line: PrintLine) -> int:
    from .page import server  # noqa: PLC0415  # as slow
    from .store import of_folder, opened  # noqa: PLC0415

    if not parsed.bucket and not parsed.results.is_dir():
        raise FieldError(f"there is no folder '{parsed.results}'. Hint: name that of the results (--results FOLDER).")
    store = opened(parsed.bucket) if parsed.bucket else of_folder(parsed.results)
    where = f"{parsed.host}:{parsed.port}"
    try:
        web_server = server(store, parsed.host, parsed.port)
    except OSError as error:
        raise FieldError(
            f"the page cannot listen on {where}: {error.strerror}. Hint: use another port (--port)."
        ) from error
    print_line(f"http://{where}/ until Ctrl-C")
    web_server.serve_forever()
    return 0


def _codes(parsed: argparse.Namespace) -> Codes:
    if parsed.run is None:
        raise FieldError("--run is missing. Hint: give the exit code of `caplab run`.")
    return Codes(parsed.run, parsed.compare)
