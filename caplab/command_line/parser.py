"""How a command line is read: what is wrong with it is said by the command that was meant, with a hint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..model.known_names import hint
from ..plain_text import one_line

_FAILED = 3  # for an invalid command line: argparse's 2 would mean that something is unknown
_MAY_BE_EMPTY = ("nightly",)  # pipelines hand it what a step left out
_OF_RUN = ("--set", "--repeat", "--resume")


class CommandParser(argparse.ArgumentParser):
    """A parser that exits with 3, and tells names that are like an unknown one."""

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parse a command line, and refuse what no argument takes in the name of the command that was given it."""
        given = sys.argv[1:] if arguments is None else arguments
        parsed, unknown = self.parse_known_args(given)
        if "" in given and parsed.command not in _MAY_BE_EMPTY:  # a path of no name would be the current folder
            self._of(parsed)._end("an argument is empty", "set the shell variable that it was to be")
        if unknown:
            self._of(parsed).refuse_unknown(unknown)
        return parsed

    def refuse_unknown(self, arguments: Sequence[str]) -> NoReturn:
        """Exit: no argument takes these."""
        message = f"unrecognized arguments: {' '.join(arguments)}"
        if arguments[0].partition("=")[0] in _OF_RUN:
            self._end(message, "give it to caplab run")
        self.error(message)

    def error(self, message: str) -> NoReturn:
        """Exit, with the usage and where to read more."""
        self._end(message, f"see {self.prog} --help")

    def _end(self, message: str, advice: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(_FAILED, f"{self.prog}: {one_line(message)}. Hint: {advice}.\n")

    def _check_value(self, action: argparse.Action, value: str) -> None:
        """Refuse an unknown command with those that are like it."""
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"there is no '{value}': {hint(value, action.choices)[:-1]}")

    def _of(self, parsed: argparse.Namespace) -> CommandParser:
        """Return the parser of the command that was named, or this one."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                chosen = action.choices.get(getattr(parsed, action.dest, ""))
                if isinstance(chosen, CommandParser):
                    return chosen._of(parsed)
        return self
