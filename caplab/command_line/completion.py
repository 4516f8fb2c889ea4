"""The script by which a shell completes `caplab`: commands, options, files, and the names of what there is."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from ..command_error import CommandError

SHELLS = ("bash", "zsh", "fish")
_PLAIN = re.compile(r"[\w./-]+")
HELP = 'print the script that completes caplab in a shell: eval "$(caplab completion bash)"'


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a shell's script. CommandError without the library that writes it, FieldError if a suite is damaged."""
    try:
        import shtab  # noqa: PLC0415  # the lab's images lack it
    except ImportError as error:
        raise CommandError("Completion needs shtab, which is not installed. Hint: pip install shtab.") from error
    names = _names()
    for command, action in _arguments(parser):
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # read by shtab
        elif offered := names.get((command, action.dest)):
            action.choices = offered
    return str(shtab.complete(parser, shell=shell))


def _names() -> dict[tuple[str, str], list[str]]:
    """Return what each command and argument takes. Rows are left out: their names have spaces.

    So are names of files that are not plain: bash would carry out what is in them, such as $(command).
    """
    from ..catalogue import listing  # noqa: PLC0415  # YAML takes a while to load
    from ..catalogue.experiments import Lab  # noqa: PLC0415
    from ..catalogue.options import KINDS  # noqa: PLC0415
    from ..files.packaged import experiments_folder  # noqa: PLC0415

    lab = Lab.of(experiments_folder())
    runnable = [name for name in (*lab.suites, *lab.experiments) if _PLAIN.fullmatch(name)]
    return {
        ("run", "name"): runnable,
        ("explain", "name"): [*runnable, *filter(_PLAIN.fullmatch, lab.faults()), *listing.checkers()],
        ("list", "kinds"): list(KINDS),
        ("check", "checker"): list(listing.checkers()),
    }


def _arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """List the arguments of every command, with the command's first word."""
    for action in parser._actions:  # argparse has no other way to list them
        if isinstance(action, argparse._SubParsersAction):
            for command, own in action.choices.items():
                yield from ((command, inner) for _, inner in _arguments(own))
        else:
            yield parser.prog.split()[-1], action
