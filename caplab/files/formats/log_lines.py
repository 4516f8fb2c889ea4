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
    value, *errors = _value_and_error(number, rest or "nil")
    event["value"] = value
    if errors:
        event["error"] = errors[0]
    if logged_at := _TIME.match(line):
        moment = datetime.fromisoformat(f"{logged_at[1]}T{logged_at[2]}").replace(tzinfo=UTC)
        event["time"] = int(moment.timestamp()) * 10**9 + int(logged_at[3].ljust(9, "0"))
    return event


def _process(text: str) -> Any:
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    return Keyword(text.lstrip(":"))


def _value_and_error(number: int, text: str) -> list[Any]:
    """Return the value and the error behind it; what a log says in other words than EDN is the text itself."""
    if len(text) > _MAX_VALUE_LENGTH:
        raise FormatError(
            f"Line {number}: its value is over {_MAX_VALUE_LENGTH:,} letters long. Hint: check history.edn."
        )
    return [_form(part) for part in text.split("\t")[:2]]


def _form(text: str) -> Any:
    try:
        return (values(text) or [None])[0]
    except EdnError:
        return text
