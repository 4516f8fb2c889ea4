"""The expressions of GitHub's workflows, as far as the lab's own use them; what it does not know is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(\d+)|([A-Za-z_][\w.-]*)|(==|!=|&&|\|\||[!(),]))")
_WHOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


class NotKnown(Exception):
    """An expression that this reader does not understand."""


@dataclass
class Scope:
    """What an expression may ask: contexts by name, and whether a step before has failed."""

    contexts: Mapping[str, Any]
    failed: bool = False
    called: set[str] = field(default_factory=set)  # status functions that were asked

    def value(self, path: str) -> Any:
        """What a.b.c stands for; a name that is missing below a context is '', as with GitHub."""
        first, *rest = path.split(".")
        if first in ("true", "false", "null") and not rest:
            return {"true": True, "false": False, "null": ""}[first]
        if first not in self.contexts:
            raise NotKnown(f"there is no context '{first}'")
        found: Any = self.contexts[first]
        for name in rest:
            found = found.get(name, "") if isinstance(found, Mapping) else ""
        return found

    def call(self, name: str, arguments: list[Any]) -> Any:
        """What a function comes to."""
        status: dict[str, bool] = {
            "always": True, "success": not self.failed, "failure": self.failed, "cancelled": False,
        }  # fmt: skip
        if name in status and not arguments:
            self.called.add(name)
            return status[name]
        if name == "contains" and len(arguments) == 2:
            return str(arguments[1]).lower() in str(arguments[0]).lower()
        if name == "format" and arguments:
            return str(arguments[0]).format(*arguments[1:])
        if name == "hashFiles":
            return "0" * 64
        raise NotKnown(f"there is no function '{name}' of {len(arguments)}")


def filled(text: str, scope: Scope) -> str:
    """A text with its ${{ }} worked out."""
    return _WHOLE.sub(lambda found: shown(evaluate(found[1], scope)), text)


def holds(condition: str, scope: Scope) -> bool:
    """Whether a step with this `if` is run: one that asks no status function runs only if nothing has failed."""
    inner = condition.strip()
    whole = _WHOLE.fullmatch(inner)
    found = bool(evaluate(whole[1] if whole else inner, scope))
    return found if scope.called else found and not scope.failed


def evaluate(text: str, scope: Scope) -> Any:
    """What an expression comes to. Raises NotKnown."""
    tokens = _tokens(text)
    found = _or(tokens, scope)
    if tokens:
        raise NotKnown(f"'{text.strip()}': what is '{tokens[0]}' doing there?")
    return found


def shown(value: Any) -> str:
    """As GitHub writes a value into a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise NotKnown(f"'{text}': not understood from '{text[position:]}' on")
        found.append(match[0].strip())
        position = match.end()
    return found


def _chain(operator: str, inner: Callable[[list[str], Scope], Any], stops: Callable[[Any], bool]) -> Any:
    def read(tokens: list[str], scope: Scope) -> Any:
        found = inner(tokens, scope)
        while tokens and tokens[0] == operator:
            tokens.pop(0)
            other = inner(tokens, scope)  # it is read in any case; GitHub too asks every status function
            found = found if stops(found) else other
        return found

    return read


def _equal(tokens: list[str], scope: Scope) -> Any:
    found = _not(tokens, scope)
    if tokens and tokens[0] in ("==", "!="):
        equal = tokens.pop(0) == "=="
        return (shown(found).lower() == shown(_not(tokens, scope)).lower()) is equal
    return found


def _not(tokens: list[str], scope: Scope) -> Any:
    if tokens and tokens[0] == "!":
        tokens.pop(0)
        return not _not(tokens, scope)
    return _atom(tokens, scope)


def _atom(tokens: list[str], scope: Scope) -> Any:
    if not tokens:
        raise NotKnown("an expression ends too early")
    token = tokens.pop(0)
    if token == "(":
        return _closed(_or(tokens, scope), tokens)
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    if token.isdigit():
        return int(token)
    if tokens and tokens[0] == "(":
        tokens.pop(0)
        return scope.call(token, _arguments(tokens, scope))
    return scope.value(token)


def _arguments(tokens: list[str], scope: Scope) -> list[Any]:
    found: list[Any] = []
    while tokens and tokens[0] != ")":
        found.append(_or(tokens, scope))
        if tokens and tokens[0] == ",":
            tokens.pop(0)
    return list(_closed(found, tokens))


def _closed(found: Any, tokens: list[str]) -> Any:
    if not tokens or tokens.pop(0) != ")":
        raise NotKnown("a bracket is not closed")
    return found


_and = _chain("&&", _equal, lambda found: not found)
_or = _chain("||", _and, bool)
