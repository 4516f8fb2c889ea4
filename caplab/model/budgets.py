"""Budgets: small sums over a run's settings, such as `ttl + 2 * loopWait + 2s`.

Names are settings as a cluster's spec spells them; literals are numbers, durations (ms, s, m, h)
and sizes (B, KiB, MiB, GiB). Durations count in seconds, sizes in bytes. The operators are
+ - * / and the functions min and max; there is nothing else, and nothing is ever evaluated as Python.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

from .fields import Json

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_LITERAL = re.compile(rf"(?<![\w.])(\d+(?:\.\d+)?)({_UNIT})(?![\w.])")
_QUANTITY = re.compile(rf"(\d+(?:\.\d+)?)({_UNIT})?")
_SUFFIXES = {"": 1.0, "Seconds": 1.0, "Milliseconds": 0.001, "Bytes": 1.0}  # ttl is also found as ttlSeconds
_LONGEST = 200  # characters: nesting stays shallow
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: dict[str, Callable[[list[float]], float]] = {"min": min, "max": max}


class BudgetError(ValueError):
    """An expression that is not a budget, or that these settings cannot evaluate."""


def evaluate(expression: str, settings: Mapping[str, Json]) -> float:
    """Evaluate a budget: seconds, bytes or a count, by the expression's units.

    Raises BudgetError for an expression that is not a budget, a setting that is missing or not a number, and a result
    that is not finite.
    """
    try:
        value = _value(_parsed(expression), settings)
    except ZeroDivisionError:
        raise BudgetError(f"The budget '{expression}' divides by zero under these settings.") from None
    if not math.isfinite(value):
        raise BudgetError(f"The budget '{expression}' is not finite under these settings.")
    return value


def names(expression: str) -> frozenset[str]:
    """Return the settings that a budget names; BudgetError if it is not a budget."""
    return frozenset(_names(_parsed(expression)))


def check(expression: str) -> None:
    """Raise BudgetError if an expression is not a budget over settings; a bare number is not one."""
    if not names(expression):
        raise BudgetError(f"The budget '{expression}' is a bare number. Hint: build it from the cluster's settings.")


def _parsed(expression: str) -> ast.expr:
    if len(expression) > _LONGEST:
        raise BudgetError(f"A budget is longer than {_LONGEST} characters: '{expression[:40]}...'.")
    plain = _LITERAL.sub(lambda literal: f"({float(literal[1]) * _UNITS[literal[2]]!r})", expression.strip())
    try:
        tree = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError):
        raise BudgetError(f"'{expression}' is not an expression. Hint: write it like `ttl + loopWait + 2s`.") from None
    _reject_unknown_syntax(tree, expression)
    return tree


def _reject_unknown_syntax(tree: ast.expr, expression: str) -> None:
    """Raise BudgetError for any part that is not a number, a name, + - * /, a minus sign, min or max."""
    match tree:
        case ast.Constant(value=value) if type(value) in (int, float):
            return
        case ast.Name():
            return
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            parts = [left, right]
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as parts, keywords=[]) if name in _FUNCTIONS:
            pass
        case _:
            raise BudgetError(f"'{expression}' holds '{ast.unparse(tree)}'. Hint: use + - * / min max only.")
    for part in parts:
        _reject_unknown_syntax(part, expression)


def _names(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - _FUNCTIONS.keys()


def _value(tree: ast.expr, settings: Mapping[str, Json]) -> float:
    match tree:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return _setting(name, settings)
        case ast.UnaryOp(operand=operand):
            return -_value(operand, settings)
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, settings), _value(right, settings))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name]([_value(argument, settings) for argument in arguments])
    raise BudgetError(f"'{ast.unparse(tree)}' is not part of a budget.")  # _parsed rejects everything else


def _setting(name: str, settings: Mapping[str, Json]) -> float:
    for suffix, scale in _SUFFIXES.items():
        if name + suffix in settings:
            return _quantity(name + suffix, settings[name + suffix]) * scale
    raise BudgetError(f"The budget names '{name}', which is not among the settings in force.")


def _quantity(name: str, value: Json) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    quantity = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if not quantity:
        raise BudgetError(f"The setting '{name}' is {value!r}, which is not a number, duration or size.")
    return float(quantity[1]) * _UNITS[quantity[2] or "s"]
