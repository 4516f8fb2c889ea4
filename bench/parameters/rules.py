"""Validation rules of a kind's `parameters`, in CEL, made from the engine's table.

Every rule is one expression that tells of a name whether it, or its value, is right. The rule holds if that is true of
all names; otherwise the message has a name of which it is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from caplab_operator.engines.parameters import Parameter

_TITLES = {"postgres": "PostgreSQL 17", "redis": "Redis 8", "cassandra": "Cassandra 5.0"}
_WORDS = {"postgres": ("on", "off", "true", "false"), "redis": ("yes", "no"), "cassandra": ("true", "false")}
_BYTES = {"B": 1, "kB": 2**10, "8kB": 2**13, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_BYTES_REDIS = {"b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}
_BYTES_CASSANDRA = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
# No leading zeros: an engine would report another spelling than it was given.
_WHOLE, _FRACTION = "(0|[1-9][0-9]{0,14})", "([.][0-9]{1,9})?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How an engine takes sizes, times or rates."""

    noun: str
    units: Mapping[str, float]  # the units that a value may have
    plain: bool  # whether a number without a unit is accepted, counting the parameter's own unit
    fraction: bool = False

    def factor(self, unit: str) -> float:
        """Return what a plain number of a parameter counts."""
        return {**_BYTES, **_BYTES_CASSANDRA, **_MILLISECONDS, **self.units}.get(unit, 1)


def _units(factors: Mapping[str, float], names: str) -> Mapping[str, float]:
    return {name: factors[name] for name in names.split()}


_MEASURES: Mapping[tuple[str, str], Measure] = {
    ("postgres", "size"): Measure(noun="a size", units=_units(_BYTES, "B kB MB GB TB"), plain=True, fraction=True),
    ("postgres", "time"): Measure(
        noun="a time", units=_units(_MILLISECONDS, "us ms s min h d"), plain=True, fraction=True
    ),
    ("redis", "size"): Measure(noun="a size", units=_BYTES_REDIS, plain=True),
    ("cassandra", "size"): Measure(noun="a size", units=_BYTES_CASSANDRA, plain=False),
    ("cassandra", "time"): Measure(noun="a time", units=_units(_MILLISECONDS, "ns us ms s m h d"), plain=False),
    ("cassandra", "rate"): Measure(
        noun="a rate", units={f"{unit}/s": factor for unit, factor in _BYTES_CASSANDRA.items()}, plain=False
    ),
}  # fmt: skip


def quoted(text: str) -> str:
    """Quote a text for CEL and YAML's folded block."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _list(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(quoted, texts)) + "]"


def _map(entries: Mapping[str, str]) -> str:
    # No two braces side by side: the chart is a template.
    return "{ " + ", ".join(f"{quoted(name)}: {value}" for name, value in entries.items()) + " }"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a schema: what must be true of each name, and the message on a name of which it is not.

    `about` is where both look up a name. It is bound once, by a list of one, since CEL has no variables here. The
    message has one name only: names have no maximum length, so the API server would reject a joined text of them as too
    costly.
    """

    right: str
    message: str
    about: str = "{ }"

    def as_yaml(self) -> dict[str, str]:
        """Return it as a schema has it."""
        return {
            "message": "parameters names a setting that is not allowed, or a value that is not valid for it",
            "rule": f"[{self.about}].all(about, self.all(name, {self.right}))",
            "messageExpression": f"[{self.about}].map(about, self.map(name, !({self.right}), {self.message})[0])[0]",
        }


def rules(engine: str, table: Mapping[str, Parameter]) -> list[Rule]:
    """Return all rules of an engine's parameters: for their names first, then for the values of each kind."""
    allowed = [parameter for parameter in table.values() if not parameter.refused]
    values = [(kind, [parameter for parameter in allowed if parameter.kind == kind]) for kind in _VALUES]
    return [_names(engine, table), *(_VALUES[kind](engine, parameters) for kind, parameters in values if parameters)]


def _names(engine: str, table: Mapping[str, Parameter]) -> Rule:
    reasons: dict[str, list[str]] = {}
    for parameter in table.values():
        reasons.setdefault(parameter.refused, []).append(parameter.name)
    why = quoted(f"{_TITLES[engine]} has no parameter of that name")
    for reason, names in reasons.items():
        about = quoted(f"{reason}: leave it out" if reason else "parameters are written in lower case")
        why = f"name.lowerAscii() in {_list(names)} ? {about} : {why}"
    allowed = [parameter.name for parameter in table.values() if not parameter.refused]
    return Rule(f"name in {_list(allowed)}", f"strings.quote(name) + ' is refused: ' + ({why})")


def _values_rule(
    parameters: Sequence[Parameter], about: Mapping[str, str], right: str, takes: Callable[[Parameter], str]
) -> Rule:
    """Return a rule of values: `about` has for each parameter what `right` looks up, and `takes` what it accepts."""
    texts = _map({parameter.name: quoted(takes(parameter)) for parameter in parameters})
    message = f"name + ' must be ' + {texts}[name] + ', not ' + strings.quote(self[name])"
    return Rule(f"!(name in about) || ({right})", message, _map(about))


def _bools(engine: str, parameters: Sequence[Parameter]) -> Rule:
    words = _WORDS[engine]
    about = {parameter.name: "true" for parameter in parameters}
    return _values_rule(parameters, about, f"self[name] in {_list(words)}", lambda _: " or ".join(words))


def _enums(_: str, parameters: Sequence[Parameter]) -> Rule:
    about = {parameter.name: _list(parameter.values) for parameter in parameters}
    return _values_rule(
        parameters, about, "self[name] in about[name]", lambda parameter: f"one of {', '.join(parameter.values)}"
    )


def _letters(_: str, parameters: Sequence[Parameter]) -> Rule:
    about = {parameter.name: quoted(f"^[{re.escape(''.join(parameter.values))}]{{0,40}}$") for parameter in parameters}
    right = "self[name].matches(about[name])"
    return _values_rule(parameters, about, right, lambda parameter: f"made of the letters {''.join(parameter.values)}")


def _integers(_: str, parameters: Sequence[Parameter]) -> Rule:
    about = {parameter.name: f"[{int(_low(parameter))}, {int(_high(parameter))}]" for parameter in parameters}
    inside = "about[name][0] <= int(self[name]) && int(self[name]) <= about[name][1]"
    right = f"self[name].matches('^(0|-?[1-9][0-9]{{0,17}})$') && {inside}"
    return _values_rule(parameters, about, right, lambda parameter: f"a whole number {_range(parameter)}")


def _reals(_: str, parameters: Sequence[Parameter]) -> Rule:
    about = {parameter.name: f"[{float(_low(parameter))!r}, {float(_high(parameter))!r}]" for parameter in parameters}
    number = f"self[name].matches('^-?{_WHOLE}{_FRACTION}$')"
    right = f"{number} && about[name][0] <= double(self[name]) && double(self[name]) <= about[name][1]"
    return _values_rule(parameters, about, right, lambda parameter: f"a number {_range(parameter)}")


def _measured(kind: str) -> Callable[[str, Sequence[Parameter]], Rule]:
    def rule(engine: str, parameters: Sequence[Parameter]) -> Rule:
        measure = _MEASURES[engine, kind]
        about = {parameter.name: _scaled(measure, parameter) for parameter in parameters}
        number = f"double(self[name].find('^-?[0-9]+{_FRACTION}'))"
        unit = "self[name].find('[A-Za-z/]+$')"
        given = f"{_map({name: repr(float(factor)) for name, factor in measure.units.items()})}[{unit}]"
        # An engine that accepts only whole numbers refuses a unit smaller than the parameter's own.
        factor = f"({unit} == '' ? about[name][0] : {given})" if measure.plain else given
        amount = f"{number} * {factor}"
        big_enough = [] if measure.plain else [f"about[name][0] <= {given}"]
        inside = [f"about[name][1] <= {amount}", f"{amount} <= about[name][2]"]
        right = " && ".join([f"self[name].matches({_form(measure)})", *big_enough, *inside])
        return _values_rule(
            parameters,
            about,
            right,
            lambda parameter: f"{measure.noun} {_range(parameter)}, in {', '.join(measure.units)}",
        )

    return rule


def _form(measure: Measure) -> str:
    units = "|".join(measure.units)
    return quoted(f"^-?{_WHOLE}{_FRACTION if measure.fraction else ''}({units}){'?' if measure.plain else ''}$")


def _scaled(measure: Measure, parameter: Parameter) -> str:
    factor = measure.factor(parameter.unit)
    return f"[{float(factor)!r}, {float(_low(parameter) * factor)!r}, {float(_high(parameter) * factor)!r}]"


# More than any engine's largest number: no bound in effect.
_NO_BOUND = 10.0**18 - 1


def _low(parameter: Parameter) -> float:
    return -_NO_BOUND if parameter.minimum is None else max(parameter.minimum, -_NO_BOUND)


def _high(parameter: Parameter) -> float:
    return _NO_BOUND if parameter.maximum is None else min(parameter.maximum, _NO_BOUND)


def _range(parameter: Parameter) -> str:
    if parameter.maximum is None or parameter.maximum > _NO_BOUND:
        return "of any size" if parameter.minimum is None else f"from {_amount(parameter.minimum, parameter.unit)}"
    return f"from {_amount(_low(parameter), parameter.unit)} to {_amount(parameter.maximum, parameter.unit)}"


def _amount(number: float, unit: str) -> str:
    count = int(number) if number == int(number) else number
    # A unit such as Postgres' page: -1 of them has a meaning of its own.
    pages = re.fullmatch(r"(\d+)(\w+)", unit)
    if pages and count > 0:
        return f"{int(count * int(pages[1]))}{pages[2]}"
    return f"{count}" if pages or count <= 0 else f"{count}{unit}"


_VALUES: Mapping[str, Callable[[str, Sequence[Parameter]], Rule]] = {
    "bool": _bools,
    "enum": _enums,
    "letters": _letters,
    "integer": _integers,
    "real": _reals,
    "size": _measured("size"),
    "time": _measured("time"),
    "rate": _measured("rate"),
}
