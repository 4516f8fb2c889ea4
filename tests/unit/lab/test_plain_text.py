"""Text from outside reaches the terminal without anything that draws there."""

from __future__ import annotations

import io
import os
from types import SimpleNamespace

import pytest

from caplab.plain_text import PlainWriter, printable, report_columns
from caplab.report.words import one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with ä and ≤", "plain, with ä and ≤"),
        ("red \x1b[31mALL VALID\x1b[0m", "red  [31mALL VALID [0m"),
        ("over\rwritten\b\b", "over written  "),
        ("two\nlines\tand a tab", "two\nlines and a tab"),
        ("title \x9d0;x\x07", "title  0;x "),
        ("right \u202eto left", "right  to left"),
        ("half \ud800 of a pair", "half   of a pair"),
    ],
)
def test_what_draws_on_a_terminal_becomes_a_blank(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert one_line(text) == " ".join(shown.split())


def test_a_stream_takes_only_what_is_printable() -> None:
    out = io.StringIO()
    PlainWriter(out).write("\x1b]0;owned\x07\n")
    assert out.getvalue() == " ]0;owned \n"


@pytest.mark.parametrize(
    ("terminal", "columns", "expected"),
    [
        (None, "", 110),  # into a pipe
        (None, "90", 90),
        (None, "200", 110),
        (None, "20", 80),
        (None, "wide", 110),
        (100, "90", 100),
        (60, "", 80),
        (240, "", 110),
    ],
)
def test_a_report_is_as_wide_as_the_terminal_within_bounds(
    monkeypatch: pytest.MonkeyPatch, terminal: int | None, columns: str, expected: int
) -> None:
    def size(_descriptor: int) -> os.terminal_size:
        if terminal is None:
            raise OSError("no terminal")
        return os.terminal_size((terminal, 24))

    monkeypatch.setattr("sys.stdout", SimpleNamespace(fileno=lambda: 1))
    monkeypatch.setattr("os.get_terminal_size", size)
    monkeypatch.setenv("COLUMNS", columns)
    assert report_columns() == expected
