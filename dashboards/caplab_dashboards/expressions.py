"""What a PromQL expression names and does, parsed as far as the linter needs it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACES = re.compile(r"\{[^{}]*\}")
_RANGE = re.compile(r"\[([^\]]*)\]")
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_IDENTIFIER = re.compile(rf"(?<![\w.$:]){_NAME}(?!\s*\()(?![\w:])")
_RATED = re.compile(rf"\b(?:rate|irate|increase)\s*\(\s*({_NAME})?(?!\s*\()(?![\w:])")
_AGGREGATION = re.compile(
    r"(?<![\w$])(sum|min|max|avg|count|stddev|stdvar|topk|bottomk|quantile|group|count_values)\b\s*(\w*)"
)
_KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"})
# $name, ${name} and ${name:format}; not ${__field.labels.x}, which is a link's.
VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """The result of parsing one expression."""

    metrics: frozenset[str]
    rated: frozenset[str]  # under rate, irate or increase; '' if that is no selector
    ungrouped: tuple[str, ...]  # aggregations with neither by nor without
    windows: frozenset[str]
    variables: frozenset[str]


def read(text: str) -> Expression:
    """Parse an expression, including Grafana's variables."""
    variables = frozenset(braced or bare for braced, bare in VARIABLE.findall(text))
    bare = _BRACES.sub("", _STRING.sub('""', text.replace("${", "$").replace("}", "}")))
    windows = frozenset(_RANGE.findall(bare))
    bare = _RANGE.sub("", bare)
    ungrouped = tuple(name for name, next_ in _AGGREGATION.findall(bare) if next_ not in ("by", "without"))
    without_labels = _LABELS.sub("", bare)
    names = frozenset(_IDENTIFIER.findall(without_labels)) - _KEYWORDS
    return Expression(
        metrics=names,
        rated=frozenset(_RATED.findall(without_labels)),
        ungrouped=ungrouped,
        windows=windows,
        variables=variables,
    )
