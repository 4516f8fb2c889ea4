"""`caplab trend`: the page is written, or one sentence says why not."""

from __future__ import annotations

import datetime
from pathlib import Path

from caplab.compare.reading import read, refuse_as_output
from caplab.documents import write_whole
from caplab.told import Told

from .page import page
from .series import rows_of


def trend(place: Path, file: Path, last: int) -> str:
    """Write the page; what is to be printed. Told where there is nothing to draw, or nowhere to write."""
    found = read(place)
    if not found.runs:
        unread = f" ({found.unread[0]})" if found.unread else ""
        raise Told(f"{place}: no run with a verdict is there{unread}. Mend: name a folder of results.")
    refuse_as_output(file, place)
    rows = rows_of(found.runs, last)
    made = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    text = page(rows, str(place), found.unread, made)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text)
    except OSError as error:
        raise Told(f"{file}: {error.strerror}. Mend: name a file that you may write (--output FILE).") from error
    drawn = sum(len(row.runs) for row in rows)
    unread = f", files that could not be read {len(found.unread)}" if found.unread else ""
    return f"{file}: runs {drawn}, rows {len(rows)}{unread}\n"
