"""`caplab compare`: what was measured before beside what is measured now, and the exit code that can gate."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from caplab.documents import write_whole
from caplab.told import Told

from .choosing import choose
from .differing import differences
from .options import LAST
from .reading import read, refuse_as_output
from .showing import Comparison, markdown, text, to_json
from .weighing import Rule, weigh

_FILES = {"text": "compare.txt", "markdown": "compare.md", "json": "compare.json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line asks for. save: a folder for all three forms; None: nothing is written."""

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


def compare(wishes: Wishes) -> tuple[str, int]:
    """What is to be printed, and the exit code. Told where there is nothing to read, or nowhere to write."""
    base, new = read(wishes.base), read(wishes.new)
    if not new.runs:
        unread = f" ({new.unread[0]})" if new.unread else ""
        raise Told(
            f"{wishes.new}: no run with a verdict is there{unread}. Mend: name the folder of a suite, or one of many."
        )
    chosen = choose(base, new, wishes.last, wishes.newest, wishes.least)
    told = Comparison(base, new, chosen, wishes.rule, differences(chosen), weigh(chosen, wishes.rule))
    forms = {
        "text": text(told, wishes.every, wishes.width),
        "markdown": markdown(told),
        "json": json.dumps(to_json(told), indent=1) + "\n",
    }
    if wishes.save is not None:
        for name in _FILES.values():
            refuse_as_output(wishes.save / name, wishes.base, wishes.new)
        _save(wishes.save, forms)
    return forms[wishes.form], told.code


def _save(folder: Path, forms: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in forms.items():
            write_whole(folder / _FILES[name], content)
    except OSError as error:
        mend = "Mend: name a folder that you may write to."
        raise Told(f"What was compared cannot be kept in {folder}: {error.strerror}. {mend}") from error
