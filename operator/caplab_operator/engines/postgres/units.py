"""Values of settings as Postgres compares them: one may be written in many ways (its manual, 19.1.1). Pure."""

from __future__ import annotations

import re
from decimal import Decimal

from .readings import Setting

_BYTES = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
_MICROSECONDS = {
    "us": 1,
    "ms": 1000,
    "s": 1_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_TRUE, _FALSE = frozenset({"on", "true", "yes", "1"}), frozenset({"off", "false", "no", "0"})
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def is_in_force(wanted: str, setting: Setting) -> bool:
    """Whether a setting has the value that was asked for."""
    if wanted == setting.value:
        return True
    if setting.kind == "bool":
        return _truth(wanted) is not None and _truth(wanted) == _truth(setting.value)
    if setting.kind in ("integer", "real"):
        return _same_number(wanted, setting)
    return setting.kind == "enum" and wanted.strip().lower() == setting.value.lower()


def _truth(text: str) -> bool | None:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def _same_number(text: str, setting: Setting) -> bool:
    wanted, step = _in_unit(text, setting.unit), 1 if setting.kind == "integer" else 0
    if wanted is None:
        return False
    # Postgres rounds to whole numbers of the setting's own unit.
    return abs(wanted - Decimal(setting.value)) <= Decimal(step) / 2


def _in_unit(text: str, unit: str) -> Decimal | None:
    """Convert a number to a setting's own unit, such as 8kB; None if the text is no such number."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    number, written = Decimal(match[1]), match[2].lower()
    if not written:
        return number
    own = re.fullmatch(r"(\d*)([a-z]+)", unit.lower())
    if own is None:
        return None
    for table in (_BYTES, _MICROSECONDS):
        if written in table and own[2] in table:
            return number * table[written] / (int(own[1] or 1) * table[own[2]])
    return None
