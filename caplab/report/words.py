"""Numbers, times and states in words. ASCII except the signs for at most and at least, and the dot between parts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from caplab.check import PROPERTIES
from caplab.check.checker import RATIO, SHARE
from caplab.check.finding import ENOUGH, State
from caplab.contract.engines import BY_NAME
from caplab.model.expectations import PropertyExpectation
from caplab.model.runs import WallAnchor

from .. import plain_text

NOTHING = "-"  # the figure does not exist
UNKNOWN = "?"  # the figure exists, but was not measured
DOT = " · "

_ROUTES = {"service": "via service", "replica": "via replica", "any": "via any member"}
VERDICTS = {State.HOLDS: "AS PROMISED", State.VIOLATED: "PROMISE BROKEN", State.UNKNOWN: "NOT PROVEN"}

Show = Callable[[float], str]  # a figure in words

_SHORT = 8  # characters of a replication id: enough to tell those of one run apart


def of_property(name: str, has_primary: bool = True) -> str:
    """Name a property of an expectation row in words."""
    declared = PROPERTIES.get(name)
    if declared is None:
        return name  # an older or a newer lab's
    return declared.words if has_primary else declared.without_primary or declared.words


def of_expected(expected: PropertyExpectation, has_primary: bool = True) -> str:
    """Name a property with its side and route."""
    return of_figure(expected.property, expected.side, expected.route, has_primary)


def of_figure(name: str, side: str | None, route: str | None, has_primary: bool = True) -> str:
    """Name a figure, such as 'failover time, on the majority, via service'."""
    of = [f"on the {side}" if side else "", of_route(route or "")]
    return ", ".join([of_property(name, has_primary), *filter(None, of)])


def of_route(route: str) -> str:
    """Name the way that clients took, such as 'via service' or 'direct'; an older or a newer lab's as it is."""
    return _ROUTES.get(route, route)


def failover(has_primary: bool) -> str:
    """Name the time until clients are served again: without a primary nothing fails over."""
    return "failover" if has_primary else "outage"


def stamped(engine: str, epoch: str) -> str:
    """Name what a server stamps in an epoch, such as 'commit on timeline 5'; '': any new epoch."""
    of = BY_NAME.get(engine)
    what, name = (of.stamped, of.epoch) if of and of.has_primary else ("commit in", "epoch")
    return f"{what} {name} {epoch[:_SHORT]}" if epoch else f"{what} a new {name}"


def of_verdict(state: State) -> str:
    """Return a run's verdict as people read it: AS PROMISED, PROMISE BROKEN or NOT PROVEN."""
    return VERDICTS[state]


def counted(value: float) -> str:
    """Format a count, with thousands separators."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,g}"


def seconds(value: float, at_least: bool = False) -> str:
    """Format seconds: milliseconds below 100 s, tenths from there on."""
    return f"{'≥ ' if at_least else ''}{value:,.{3 if abs(value) < 100 else 1}f} s"


def short_seconds(value: float) -> str:
    """Format seconds for a headline: to about three digits, such as '0.32 s', '2.02 s', '22.2 s'."""
    return f"{value:,.{2 if abs(value) < 9.995 else 1}f} s"


def of_unit(value: float, unit: str) -> str:
    """Format a property's figure, whose unit is '' for a count, s, SHARE or RATIO."""
    if unit == SHARE:
        return f"{100 * value:.1f} %"
    if unit == RATIO:
        return f"{value:,.1f} {RATIO}"
    return seconds(value) if unit else counted(value)


def milliseconds(values: list[float]) -> str:
    """Format seconds as milliseconds, separated by slashes: '2.1 / 14 ms'."""
    return " / ".join(f"{1000 * value:,.{1 if value < 0.01 else 0}f}" for value in values) + " ms"


def ratio(value: float) -> str:
    """Format a share as '100 %', '99.4 %', '12 %'; never 100 % if one is missing, nor 0 % if there is one."""
    percent = 100 * value
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent < 0.1:
        return "< 0.1 %"
    # Rounded down: 99.96 % is not all. The tiny addend undoes binary fractions such as 28.999999.
    tenths = math.floor(10 * percent + 1e-9) / 10
    return f"{tenths:.1f} %".replace(".0 %", " %") if percent < 10 or percent >= 90 else f"{math.floor(tenths)} %"


def of_writes(count: float, writes: float) -> str:
    """Format a count among so many writes; none at all bounds the true rate by 3/n at 95 % (the rule of three)."""
    text = f"{counted(count)} of {counted(writes)}"
    if count or writes < ENOUGH:
        return text
    percent = 300 / writes
    digits = max(0, 1 - math.floor(math.log10(percent)))
    return f"{text} (< 3/n = {percent:.{digits}f} % at 95 %)"


def wall_time(monotonic_ns: int, anchor: WallAnchor) -> str:
    """Format a moment of the monotonic clock as a date, to the millisecond, in UTC."""
    unix_ms = (anchor.unix_ns + monotonic_ns - anchor.monotonic_ns) // 1_000_000
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=unix_ms)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{unix_ms % 1000:03d} UTC"


def iso_time(unix_ns: int) -> str:
    """Format a moment as ISO 8601, to the second, in UTC: '2026-11-21T07:03:47Z'."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=unix_ns // 1_000_000_000)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def one_line(text: str) -> str:
    """Return an outside text without line ends and control characters, safe to print on a terminal."""
    return plain_text.one_line(text)


def shortened(text: str) -> str:
    """Shorten a text's words to a readable length: a key may have a mebibyte."""
    return _LONG.sub(lambda word: f"{word[0][:_LONGEST]}...", text)


def cut(text: str, characters: int) -> str:
    """Cut a text short after a whole word, or within one that is longer than that by itself."""
    if len(text) <= characters:
        return text
    kept = text[: characters - 3]
    whole = kept.rpartition(" ")[0] if text[characters - 3] != " " else kept
    return f"{(whole if len(whole) > characters // 2 else kept).rstrip()}..."


def abbreviated(value: str) -> str:
    """Abbreviate a setting's or an image's value, so that it still differs from another one."""
    _, marker, digest = value.rpartition("sha256:")
    if marker:
        return f"sha256:{digest[:12]}"
    return value if len(value) <= _TOLD else f"{value[:_TOLD]}..."


_TOLD = 48
_LONGEST = 100
_LONG = re.compile(rf"\S{{{_LONGEST + 1},}}")
