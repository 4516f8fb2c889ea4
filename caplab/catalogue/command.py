"""`caplab list` and `caplab explain`: return the text to print."""

from __future__ import annotations

from collections.abc import Sequence

from ..files.documents import read_json
from ..files.packaged import evidence_folder, experiments_folder
from . import listing
from .experiments import Lab

_BOLD, _RESET = "\x1b[1m", "\x1b[0m"


def list_all(kinds: Sequence[str], width: int, colour: bool) -> str:
    """List what there is of these kinds, else of all; width in columns. FieldError if a file is damaged."""
    return listing.rendered(listing.sections(kinds, experiments_folder()), width, _bold if colour else str)


def explain(name: str, width: int, colour: bool) -> str:
    """Explain what has a name. CommandError if nothing has, FieldError if a file is damaged."""
    from ..judging import expectations  # noqa: PLC0415  # what only this command needs is slow to load
    from ..report.cap_table.evidence import Evidence, newest_by_row  # noqa: PLC0415
    from .explaining import Library, explained  # noqa: PLC0415

    evidence = [Evidence.from_json(file.name, read_json(file)) for file in sorted(evidence_folder().glob("*.json"))]
    library = Library(
        lab=Lab.of(experiments_folder()),
        rows=expectations().rows,
        newest=newest_by_row(evidence),
        width=width,
        bold=_bold if colour else str,
    )
    return explained(library, name)


def _bold(text: str) -> str:
    return f"{_BOLD}{text}{_RESET}"
