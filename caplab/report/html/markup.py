"""Pieces of HTML. What is not Markup is text from outside, and is escaped: it can never become an element."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from caplab.plain_text import one_line, printable

_LONGEST = 600  # characters of one text: a key may have a mebibyte
_VOID = frozenset({"br", "hr", "input", "meta"})

Attribute = str | int | float | bool | None


class Markup(str):
    """HTML that was made by this module."""

    __slots__ = ()


def element(tag: str, /, *content: str | Iterable[str], **attributes: Attribute) -> Markup:
    """Build an element: class_ is class, data_run is data-run; an attribute that is None or False is left out."""
    opened = f"<{tag}{''.join(_attribute(name, value) for name, value in attributes.items())}>"
    return Markup(opened if tag in _VOID else f"{opened}{joined(*content)}</{tag}>")


def joined(*content: str | Iterable[str]) -> Markup:
    """Put pieces after each other: texts escaped, Markup as it is, and what an iterable yields."""
    return Markup("".join(_piece(piece) for piece in content))


def _piece(piece: str | Iterable[str]) -> str:
    if isinstance(piece, Markup):
        return piece
    return text(piece) if isinstance(piece, str) else joined(*piece)


def text(content: str) -> Markup:
    """Escape a text, without control characters; of a long one the beginning is shown, and its length."""
    return Markup(escape(shortened(printable(content))))


def shortened(content: str) -> str:
    """Cut a text that is too long to read, and say so."""
    if len(content) <= _LONGEST:
        return content
    return f"{content[:_LONGEST]}... (the first {_LONGEST} of {len(content):,} characters)"


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(shortened(one_line(str(value))))}"'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str, texts: Sequence[int] = (0,)) -> Markup:
    """Build a table that scrolls by itself if it is wide; columns that are not texts are aligned as numbers."""

    def cells(tag: str, row: Sequence[str], **attributes: Attribute) -> Iterable[str]:
        return (
            element(tag, cell, class_=None if place in texts else "number", **attributes)
            for place, cell in enumerate(row)
        )

    body = (element("tr", cells("td", row)) for row in rows)
    return scrolled(
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", cells("th", header, scope="col"))),
            element("tbody", body),
        ),
        caption,
    )


def scrolled(content: Markup, label: str) -> Markup:
    """Let something wide scroll within the page, by keyboard too."""
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=label)


def folded(summary: str, *content: str | Iterable[str], opened: bool = False) -> Markup:
    """Fold something away under its summary."""
    return element("details", element("summary", summary), *content, open=opened)


def listed(items: Iterable[str]) -> Markup:
    """Build a list of sentences; empty ones are left out."""
    every = [element("li", item) for item in items if item]
    return element("ul", every) if every else Markup("")
