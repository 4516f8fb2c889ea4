"""Text from outside reaches the terminal without anything that draws there."""

from __future__ import annotations

import io

import pytest

from caplab.plain_text import PlainWriter, printable
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
