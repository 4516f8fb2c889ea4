"""Values and sessions that are text: each has a number in the history, and is shown by its own text."""

from __future__ import annotations

import re
from typing import TypeGuard

from ...check.columns import Integers
from ...model.fields import Json

_VALUES = 4 * 10**18  # codes of values begin here, and those of sessions there
_SESSIONS = 2 * 10**9
_MAX_SESSION = 2**31 - 1
_FARTHEST = 1 << 63
_SHOWN = 60  # characters
_VALUE_WORDS = re.compile(r"(?<![\d.])4\d{18}(?!\d|\.\d)")
_SESSION_WORDS = re.compile(r"(?<![\d.])2[01]\d{8}(?!\d|\.\d)")


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is a whole number that a history can hold as it is."""
    return type(value) is int and -_FARTHEST <= value < _FARTHEST and not _VALUES <= value < _VALUES + 10**18


def are_whole(numbers: Integers) -> bool:
    """Return whether is_whole is true of all numbers of 64 bits."""
    return not bool(((numbers >= _VALUES) & (numbers < _VALUES + 10**18)).any())


def are_sessions(numbers: Integers) -> bool:
    """Return whether fits_session is true of all numbers of 64 bits."""
    return not bool(((numbers < -_MAX_SESSION) | (numbers >= _SESSIONS)).any())


class Texts:
    """The numbers of texts, in the order in which they are first met."""

    def __init__(self) -> None:
        self._values: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        self._value_texts: list[str] = []
        self._session_texts: list[str] = []

    def __bool__(self) -> bool:
        """Return whether any number stands for a text."""
        return bool(self._value_texts or self._session_texts)

    def value(self, text: str) -> int:
        """Return the number of a value's text."""
        code = self._values.get(text)
        if code is None:
            code = self._values[text] = _VALUES + len(self._value_texts)
            self._value_texts.append(text)
        return code

    def session(self, text: str) -> int:
        """Return the number of a session's text."""
        code = self._sessions.get(text)
        if code is None:
            code = self._sessions[text] = self.new_session(text)
        return code

    def new_session(self, text: str) -> int:
        """Return a number of its own for a session that is shown by this text."""
        self._session_texts.append(text)
        return _SESSIONS + len(self._session_texts) - 1

    def text_of_value(self, number: int) -> str | None:
        """Return the text that a number stands for; None if it is a number."""
        place = number - _VALUES
        return self._value_texts[place] if 0 <= place < len(self._value_texts) else None

    def text_of_session(self, number: int) -> str | None:
        """Return the text of a session; None if its number is its name."""
        place = number - _SESSIONS
        return self._session_texts[place] if 0 <= place < len(self._session_texts) else None

    def has_values(self) -> bool:
        """Return whether any value is text."""
        return bool(self._value_texts)

    def has_sessions(self) -> bool:
        """Return whether any session is text."""
        return bool(self._session_texts)

    def shown(self, cell: Json, name: str = "") -> Json:
        """Return a figure of a finding, or a message, with texts in place of their numbers; name: of the figure."""
        if isinstance(cell, str):
            return self.in_words(cell)
        if isinstance(cell, bool) or not isinstance(cell, int):
            return cell
        text = self.text_of_session(cell) if name == "session" else self.text_of_value(cell)
        return cell if text is None else text

    def in_words(self, message: str) -> str:
        """Return a message with texts in place of their numbers."""
        if not self:
            return message
        message = _VALUE_WORDS.sub(lambda found: self._short(self.text_of_value(int(found[0])), found[0]), message)
        return _SESSION_WORDS.sub(lambda found: self._short(self.text_of_session(int(found[0])), found[0]), message)

    @staticmethod
    def _short(text: str | None, number: str) -> str:
        if text is None:
            return number
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def fits_session(value: object) -> TypeGuard[int]:
    """Return whether a value is a session's number as it is."""
    return type(value) is int and -_MAX_SESSION <= value < _SESSIONS
