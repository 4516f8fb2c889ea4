"""`caplab compare`: earlier results beside new ones, and an exit code for pipelines."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from caplab.command_error import CommandError
from caplab.files.documents import write_whole

from .choosing import choose
from .differing import differences
from .options import LAST
from .reading import read, refuse_as_output
from .showing import Comparison, markdown, text, to_json
from .weighing import Rule, weigh

_FILES = {"text": "compare.txt", "markdown": "compare.md", "json": "compare.json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """The command line's options. save: a folder for all three forms; None: nothing is written."""

    base: Path
    new: Path
    last: int = LAST
    newest: int | None = None
    least: int = 1
    rule: Rule = field(default_factory=Rule)
    form: str = "text"
    every: bool = False
    save: Path | None = None
    width: int = 110


def compare(options: CompareOptions) -> tuple[str, int]:
    """Compare; return the output and the exit code. CommandError if nothing can be read or written."""
    base, new = read(options.base), read(options.new)
    if not new.runs:
        unread = f" ({new.unread[0]})" if new.unread else ""
        raise CommandError(
            f"{options.new}: there is no run with a verdict{unread}. Hint: name the folder of a suite, or one of many."
        )
    chosen = choose(base, new, options.last, options.newest, options.least)
    comparison = Comparison(
        base=base,
        new=new,
        chosen=chosen,
        rule=options.rule,
        differences=differences(chosen),
        table=weigh(chosen, options.rule),
    )
    forms = {
        "text": text(comparison, options.every, options.width),
        "markdown": markdown(comparison),
        "json": json.dumps(to_json(comparison), indent=1) + "\n",
    }
    if options.save is not None:
        for name in _FILES.values():
            refuse_as_output(options.save / name, options.base, options.new)
        _save(options.save, forms)
    return forms[options.form], comparison.code


def _save(folder: Path, forms: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in forms.items():
            write_whole(folder / _FILES[name], content)
    except OSError as error:
        hint = "Hint: name a folder that you may write to."
        raise CommandError(f"The comparison cannot be saved in {folder}: {error.strerror}. {hint}") from error
