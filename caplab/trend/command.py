"""`caplab trend`: writes the page, or says in one sentence why not."""

from __future__ import annotations

import datetime
from pathlib import Path

from caplab.command_error import CommandError
from caplab.compare.reading import read, refuse_as_output
from caplab.files.documents import write_whole

from .page import page
from .series import rows_of


def trend(place: Path, file: Path, last: int) -> str:
    """Write the page and return the output. CommandError if there is nothing to draw, or the file cannot be written."""
    results = read(place)
    if not results.runs:
        unread = f" ({results.unread[0]})" if results.unread else ""
        raise CommandError(f"{place}: there is no run with a verdict{unread}. Hint: name a folder of results.")
    refuse_as_output(file, place)
    rows = rows_of(results.runs, last)
    made = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    text = page(rows, str(place), results.unread, made)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text)
    except OSError as error:
        raise CommandError(
            f"{file}: {error.strerror}. Hint: name a file that you may write (--output FILE)."
        ) from error
    drawn = sum(len(row.runs) for row in rows)
    unread = f", files that could not be read {len(results.unread)}" if results.unread else ""
    return f"{file}: runs {drawn}, rows {len(rows)}{unread}\n"
