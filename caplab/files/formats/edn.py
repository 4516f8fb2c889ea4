"""EDN, the notation of Clojure's data, as far as histories use it: read form by form, within bounds, and written.

Keywords and symbols are strings of their own types, without the colon, so that maps are asked by plain names. A tagged
form (#jepsen.history.Op{...}) is the form without its tag, and a form behind #_ is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

DEEPEST = 100  # nested collections; no history has ten levels
_MAX_DIGITS = 400  # of a number; longer ones are text
_MAX_CACHED = 1 << 18
_LONG_LINE = 1 << 20
_MAX_JOINED = 50  # lines of one string

# A string, a character, a collection's begin or end, a tag or discard, or an atom; a quotation mark alone is an error.
_STRING = r'"(?:[^"\\]++|\\.)*+"'
_TOKENS = re.compile(rf'{_STRING}|\\(?:[^\s\w]|\w+)|#\{{|#_|[\[\]{{}}()]|;.*|[^\s,\[\]{{}}()";]+|"')
_OPENING = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_CLOSING = frozenset("])}")
_SPECIAL = frozenset(";#\"\\^'`~@")
_OF_CLOJURE = frozenset("^'`~@")  # what Clojure reads, and EDN does not have
_WHOLE = re.compile(r"[+-]?\d+N?\Z")
_ESCAPED = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_CHARACTERS = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r"}

Form: TypeAlias = Any


class EdnError(ValueError):
    """A text that is not EDN; the message says why, and line where."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


class Keyword(str):
    """A keyword, such as :invoke, without its colon."""

    __slots__ = ()


class Symbol(str):
    """A symbol, such as x."""

    __slots__ = ()


class Elements(list[Form]):
    """The elements of a set, in the order of the text."""

    __slots__ = ()


class _Mark:
    """What stands before a form: a tag, or #_."""

    __slots__ = ("discards",)

    def __init__(self, discards: bool) -> None:
        self.discards = discards


_TAG, _DISCARD = _Mark(False), _Mark(True)


class _Atoms(dict[str, Form]):
    """The value of each token that is no collection; the short ones are kept."""

    def __missing__(self, token: str) -> Form:
        value = _atom(token)
        if len(token) <= 24 and len(self) < _MAX_CACHED:
            self[token] = value
        return value


def forms(lines: Iterable[str]) -> Iterator[tuple[int, Form]]:
    """Yield each form with the line (from 1) on which it begins. One vector or list around all of them is taken off.

    Raises EdnError for what is not EDN, too deep or not whole.
    """
    reader = _Reader()
    number = 0
    for line in _whole_strings(lines):
        number += 1
        yield from reader.read(line, number)
    reader.end(number)


def values(text: str) -> list[Form]:
    """Return the forms of a text of one line; EdnError as from forms."""
    reader = _Reader(unwraps=False)
    whole = [value for _, value in reader.read(text, 1)]
    reader.end(1)
    return whole


class _Reader:
    """Builds forms from tokens; what is open at the end of a line goes on in the next one."""

    def __init__(self, unwraps: bool = True) -> None:
        self._atoms = _Atoms()
        self._stack: list[tuple[str, list[Form]]] = []  # the enclosing collections
        self._kind = ""  # of the collection that is open
        self._items: list[Form] = []
        self._begun = 0
        self._marked = False
        self._wrapped = self._ended = False
        self._empty = unwraps  # nothing has come yet

    def read(self, line: str, number: int) -> Iterator[tuple[int, Form]]:
        """Yield the forms that end on a line; each as soon as it is whole."""
        tokens = _TOKENS.findall(line) if len(line) < _LONG_LINE else (found[0] for found in _TOKENS.finditer(line))
        atoms, opening, closing = self._atoms, _OPENING, _CLOSING
        for token in tokens:
            if token in opening:
                self._open(token, number)
            elif token in closing:
                self._close(token, number)
                if not self._stack and self._items:
                    yield from self._whole()
            elif token[0] in _SPECIAL:
                self._special(token, number)
            else:
                self._items.append(atoms[token])
        if not self._stack and self._items:
            yield from self._whole(number)

    def end(self, number: int) -> None:
        """Raise EdnError if something is open."""
        if self._stack or (self._wrapped and not self._ended):
            begun = self._begun if self._stack else 1
            raise EdnError(max(number, 1), f"the file ends within what line {begun} begins: it was cut off")

    def _open(self, token: str, number: int) -> None:
        if self._ended:
            raise EdnError(number, "something follows the end of the history")
        if self._empty and token in "[(":
            self._empty, self._wrapped = False, True
            return
        self._empty = False
        if not self._stack:
            self._begun = number
        self._stack.append((self._kind, self._items))
        if len(self._stack) > DEEPEST:
            raise EdnError(number, f"it is over {DEEPEST} levels deep")
        self._kind, self._items = token, []

    def _close(self, token: str, number: int) -> None:
        if not self._stack:
            if not self._wrapped or self._ended:
                raise EdnError(number, f"'{token}' closes nothing")
            self._ended = True
            return
        kind, items = self._kind, self._items
        if _OPENING[kind] != token:
            raise EdnError(number, f"'{kind}' is closed by '{token}'")
        self._kind, self._items = self._stack.pop()
        self._items.append(_collection(kind, _resolved(items) if self._marked else items, number))

    def _special(self, token: str, number: int) -> None:
        if token == '"':
            raise EdnError(number, "a quotation mark is not closed")
        if token[0] == ";":
            return
        if token[0] in _OF_CLOJURE:
            raise EdnError(number, f"'{token[0]}' begins no form of EDN")
        if token[0] == "#" and token[:2] != "##":
            self._marked = True
            self._items.append(_DISCARD if token == "#_" else _TAG)
        else:
            self._items.append(self._atoms[token])

    def _whole(self, number: int | None = None) -> Iterator[tuple[int, Form]]:
        """Yield what is whole at the top, unless a mark still waits for its form."""
        items = self._items
        if self._marked:
            if isinstance(items[-1], _Mark):
                return
            items, self._marked = _resolved(items), False
        self._items = []
        self._empty = False
        for item in items:
            yield number or self._begun, item


def _resolved(items: list[Form]) -> list[Form]:
    """Apply marks: a tag is dropped, #_ is dropped with the form behind it."""
    kept: list[Form] = []
    discards = 0
    for item in items:
        if isinstance(item, _Mark):
            discards += item.discards
        elif discards:
            discards -= 1
        else:
            kept.append(item)
    return kept


def _collection(kind: str, items: list[Form], number: int) -> Form:
    if kind == "{":
        if len(items) % 2:
            raise EdnError(number, "a map has a key without a value")
        try:
            form = dict(zip(items[::2], items[1::2], strict=True))
        except TypeError:  # a collection as a key
            keys = [printed(in_order(key)) if isinstance(key, list | dict) else key for key in items[::2]]
            form = dict(zip(keys, items[1::2], strict=True))
        if 2 * len(form) != len(items):
            raise EdnError(number, "a map has a key twice")
        return form
    return Elements(items) if kind == "#{" else items


def _atom(token: str) -> Form:
    first = token[0]
    if first == ":":
        return Keyword(token[1:])
    if first == '"':
        return _ESCAPED.sub(lambda found: _unescaped(found[1]), token[1:-1])
    if first == "\\":
        return _CHARACTERS.get(token[1:], token[1:])
    if token in _NAMED:
        return _NAMED[token]
    if first.isdigit() or first in "+-":
        return _number(token)
    return Symbol(token)


_NAMED = {"nil": None, "true": True, "false": False}


def _number(token: str) -> Form:
    if len(token) > _MAX_DIGITS:
        return Symbol(token)
    if _WHOLE.match(token):
        return int(token.rstrip("N"))
    try:
        return float(token.rstrip("M")) if token.isascii() and "_" not in token else Symbol(token)
    except ValueError:
        return Symbol(token)


def _unescaped(letter: str) -> str:
    return chr(int(letter[1:], 16)) if len(letter) == 5 else _ESCAPES.get(letter, letter)


def _whole_strings(lines: Iterable[str]) -> Iterator[str]:
    """Join the lines of a string that has line ends in it; they keep their place: empty lines follow."""
    held = ""
    joined = 0
    for line in lines:
        if not held and (line.count('"') % 2 == 0 and "\\" not in line):
            yield line
            continue
        held += line
        if _is_open(held) and joined < _MAX_JOINED:
            joined += 1
            continue
        yield held
        yield from [""] * joined
        held, joined = "", 0
    if held:
        yield held


def _is_open(text: str) -> bool:
    """Return whether a text ends within a string."""
    return any(token == '"' for token in _TOKENS.findall(text))


def printed(form: Form) -> str:
    """Return a form as EDN in one line."""
    if form is None or isinstance(form, bool):
        return _PRINTED[form]
    if isinstance(form, str):
        return _printed_text(form)
    if isinstance(form, dict):
        return "{" + ", ".join(f"{printed(key)} {printed(value)}" for key, value in form.items()) + "}"
    if isinstance(form, list | tuple):
        begin = "#{" if isinstance(form, Elements) else "["
        return f"{begin}{' '.join(map(printed, form))}{_OPENING[begin]}"
    return str(form)


def in_order(form: Form) -> Form:
    """Return a form whose sets and maps are in the order of their texts."""
    if isinstance(form, dict):
        return dict(sorted(((key, in_order(value)) for key, value in form.items()), key=lambda pair: printed(pair[0])))
    if isinstance(form, list):
        inner = [in_order(each) for each in form]
        return Elements(sorted(inner, key=printed)) if isinstance(form, Elements) else inner
    return form


_PRINTED = {None: "nil", True: "true", False: "false"}


def _printed_text(form: str) -> str:
    if isinstance(form, Keyword):
        return f":{form}"
    return str(form) if isinstance(form, Symbol) else quoted(form)


def quoted(text: str) -> str:
    """Return a string as EDN."""
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return f'"{text}"'
