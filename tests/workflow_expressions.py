"""The expressions of GitHub's workflows that the lab's own use; anything else is an error."""

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
    """The scope of an expression: contexts by name, and whether an earlier step has failed."""

    contexts: Mapping[str, Any]
    failed: bool = False
    called: set[str] = field(default_factory=set)  # status functions that were called

    def value(self, path: str) -> Any:
        """Look up a.b.c; a name that is missing in a context is '', as with GitHub."""
        first, *rest = path.split(".")
        if first in ("true", "false", "null") and not rest:
            return {"true": True, "false": False, "null": ""}[first]
        if first not in self.contexts:
            raise NotKnown(f"there is no context '{first}'")
        value: Any = self.contexts[first]
        for name in rest:
            value = value.get(name, "") if isinstance(value, Mapping) else ""
        return value

    def call(self, name: str, arguments: list[Any]) -> Any:
        """Call a function."""
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
    """Evaluate each ${{ }} of a text."""
    return _WHOLE.sub(lambda match: shown(evaluate(match[1], scope)), text)


def holds(condition: str, scope: Scope) -> bool:
    """Return whether a step with this `if` is run: without a status function it runs only if nothing has failed."""
    inner = condition.strip()
    whole = _WHOLE.fullmatch(inner)
    holding = bool(evaluate(whole[1] if whole else inner, scope))
    return holding if scope.called else holding and not scope.failed


def evaluate(text: str, scope: Scope) -> Any:
    """Evaluate an expression. Raises NotKnown."""
    tokens = _tokens(text)
    value = _or(tokens, scope)
    if tokens:
        raise NotKnown(f"'{text.strip()}': what is '{tokens[0]}' doing there?")
    return value


def shown(value: Any) -> str:
    """Format a value as GitHub writes it into a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise NotKnown(f"'{text}': not understood from '{text[position:]}' on")
        tokens.append(match[0].strip())
        position = match.end()
    return tokens


def _chain(operator: str, inner: Callable[[list[str], Scope], Any], stops: Callable[[Any], bool]) -> Any:
    def read(tokens: list[str], scope: Scope) -> Any:
        value = inner(tokens, scope)
        while tokens and tokens[0] == operator:
            tokens.pop(0)
            other = inner(tokens, scope)  # it is evaluated in any case; GitHub also calls every status function
            value = value if stops(value) else other
        return value

    return read


def _equal(tokens: list[str], scope: Scope) -> Any:
    left = _not(tokens, scope)
    if tokens and tokens[0] in ("==", "!="):
        equal = tokens.pop(0) == "=="
        return (shown(left).lower() == shown(_not(tokens, scope)).lower()) is equal
    return left


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
    values: list[Any] = []
    while tokens and tokens[0] != ")":
        values.append(_or(tokens, scope))
        if tokens and tokens[0] == ",":
            tokens.pop(0)
    return list(_closed(values, tokens))


def _closed(value: Any, tokens: list[str]) -> Any:
    if not tokens or tokens.pop(0) != ")":
        raise NotKnown("a bracket is not closed")
    return value


_and = _chain("&&", _equal, lambda value: not value)
_or = _chain("||", _and, bool)
