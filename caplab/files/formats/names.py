"""What a value or a key of an event is called in a history: numbers as they are, everything else by its own text."""

from __future__ import annotations

import re
from typing import Any

from .edn import Form, Keyword, Symbol, in_order, printed
from .texts import Texts, is_whole

# A string that would be read as something else without quotation marks is shown with them.
_PLAIN = re.compile(r"[^\s\d+\-:#\[\]{}()\"\\;,.'][^\n\r]*\Z")
_TAKEN = frozenset(("nil", "true", "false", "null"))
NUMBER_LIKE = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_FLOAT_WHOLE = 2.0**53


def text_of(form: Form) -> str:
    """Return the text of a value: a string is shown as it is, if nothing else is written like that.

    Sets and maps have no order: equal ones have one text.
    """
    if isinstance(form, str) and not isinstance(form, Keyword | Symbol):
        return str(form) if _PLAIN.match(form) and form not in _TAKEN else printed(form)
    return printed(in_order(form))


def is_plain(text: str) -> bool:
    """Return whether a text is no number, and none of JSON's words: JSON has no other that is written without marks."""
    return text not in _TAKEN and not NUMBER_LIKE.match(text)


class Values:
    """The numbers of values."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def number(self, form: Form) -> int:
        """Return the number of a value that is not nothing."""
        if is_whole(form):
            return form
        if isinstance(form, float) and form.is_integer() and abs(form) < _FLOAT_WHOLE:
            return int(form)
        return self._texts.value(text_of(form))


class Keys:
    """The names of keys, each once, and their places: keys that differ in the file have different names."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._places: dict[Any, int] = {}
        self._taken: set[str] = set()

    def place(self, form: Form) -> int:
        """Return the place of a key's name; nothing (None) is -1, a key of its own."""
        if form is None:
            return -1
        sort = type(form)
        raw = (
            (sort, form)
            if sort is not list and sort is not dict and isinstance(form, str | int)
            else printed(in_order(form))
        )
        place = self._places.get(raw)
        if place is None:
            place = self._places[raw] = len(self.names)
            name = str(form) if isinstance(form, str) else printed(form)
            if name in self._taken:
                name = printed(form)
            while name in self._taken:
                name += "'"
            self._taken.add(name)
            self.names.append(name)
        return place
