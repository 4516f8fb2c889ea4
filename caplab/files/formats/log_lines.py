"""Events in jepsen.log and history.txt: process, type, f and value, separated by tabs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from .edn import EdnError, Keyword, values
from .recording import FormatError

_LOGGED = re.compile(r"\bjepsen\.util\s*[:-]\s+(\S+)\s+:(invoke|ok|fail|info)\s+(\S+)(?:\s+(.*))?$")
_PLAIN = re.compile(r"\s*(\S+)\s+:(invoke|ok|fail|info)\s+(\S+)(?:\s+(.*))?$")
_MAX_VALUE_LENGTH = 1 << 26
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)[.,](\d{1,9})")


def events(lines: Iterable[str], logged: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each event with its line. logged: lines of a log; others in it are passed over."""
    pattern = _LOGGED if logged else _PLAIN
    for number, line in enumerate(lines, 1):
        found = pattern.search(line) if logged else pattern.match(line)
        if found is None:
            if not logged and line.strip():
                raise FormatError(
                    f"Line {number}: it is not an event. Hint: write process, :type, :f and value, separated by tabs."
                )
            continue
        yield number, _event(number, found, line)


def _event(number: int, found: re.Match[str], line: str) -> dict[str, Any]:
    process, kind, f, rest = found.groups()
    event: dict[str, Any] = {"process": _process(process), "type": kind, "f": None if f == "nil" else f.lstrip(":")}
    event["value"], error = _value_and_error(number, kind, rest or "nil")
    if error is not None:
        event["error"] = error
    if logged_at := _TIME.match(line):
        event["time"] = _time_ns(number, logged_at)
    return event


def _time_ns(number: int, logged_at: re.Match[str]) -> int:
    try:
        moment = datetime.fromisoformat(f"{logged_at[1]}T{logged_at[2]}").replace(tzinfo=UTC)
    except ValueError as error:
        raise FormatError(f"Line {number}: its time is none: {error}. Hint: write it as log4j does.") from error
    return int(moment.timestamp()) * 10**9 + int(logged_at[3].ljust(9, "0"))


def _process(text: str) -> Any:
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    return Keyword(text.lstrip(":"))


def _value_and_error(number: int, kind: str, text: str) -> tuple[Any, Any]:
    """Return the value and the error behind it, which may be any text.

    The value counts where an operation is invoked or ok. There it has to be one form: of more than one, or of one that
    goes on in the next line, a part would be taken for the whole.
    """
    if len(text) > _MAX_VALUE_LENGTH:
        raise FormatError(
            f"Line {number}: its value is over {_MAX_VALUE_LENGTH:,} letters long. Hint: check history.edn."
        )
    value, _, error = text.partition("\t")
    counts = kind in ("invoke", "ok")
    forms = _forms(value)
    if counts and (forms is None or len(forms) > 1):
        raise FormatError(
            f"Line {number}: its value is {'no EDN' if forms is None else 'several forms'}."
            " Hint: write the whole value on the line, or check history.edn."
        )
    return (forms or [None])[0], next(iter(_forms(error) or [error]), None) if error else None


def _forms(text: str) -> list[Any] | None:
    try:
        return values(text)
    except EdnError:
        return None
