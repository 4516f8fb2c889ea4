"""The shown part of a prober's and the operator's /metrics. Pure.

It is written for this alone and runs every second: it takes a tenth of a full parser's time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from caplab.plain_text import one_line

from .values import Count, Load, Route

_OPERATIONS = "caplab_operations_total"
_LATENCY = "caplab_operation_latency_seconds_bucket"
_SINCE_ACK = "caplab_seconds_since_last_ack"
_OURS = ("caplab_operations_total{", "caplab_operation_latency_seconds_bucket{", "caplab_seconds_since_last_ack{")
_OLDEST_ROUND = "caplab_operator_oldest_round_seconds"
_LOAD = "load"  # a cache's load from its database: not a client of the cluster
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_NOT_SHOWN = frozenset({"clock"})  # the second clock is not a load
_MAX_SERIES = 20_000  # whose labels are remembered


class NotMetrics(ValueError):
    """The text is not metrics; the message says where."""


@dataclass(slots=True)
class _Sum:
    """A Count being built; since_ack_seconds is the least of its series."""

    ended: float = 0.0
    acked: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)
    since_ack_seconds: float | None = None

    def count(self) -> Count:
        return Count(self.ended, self.acked, self.buckets, self.since_ack_seconds)


@dataclass(frozen=True, slots=True)
class _Series:
    """The meaning of a combination of labels; detail is the outcome, or the bucket's upper bound."""

    name: str
    load: Load
    detail: str

    def add(self, value: float, total: _Sum) -> None:
        if self.name == _LATENCY:
            bound = float(self.detail)
            total.buckets[bound] = total.buckets.get(bound, 0.0) + value
        elif self.name == _OPERATIONS:
            total.ended += value
            total.acked += value if self.detail == "ok" else 0.0
        else:
            since_ack = total.since_ack_seconds
            total.since_ack_seconds = value if since_ack is None else min(since_ack, value)


def counts_of(text: str) -> Mapping[Load, Count]:
    """Count operations so far by load, from a prober's metrics; NotMetrics if a line cannot be read.

    Levels are added up. Left out are the second clock's beats, what a cache loads from its database, and writes by the
    route any, which replicas refuse.
    """
    totals: dict[Load, _Sum] = {}
    for line in text.split("\n"):  # a label's value may contain other line ends
        if not line.startswith(_OURS):
            continue
        labels, _, value = line.rpartition(" ")
        try:
            series = _series(labels)
            if series is not None:
                series.add(float(value), totals.setdefault(series.load, _Sum()))
        except (ValueError, KeyError) as error:
            raise NotMetrics(f"its metrics cannot be read: {one_line(line)[:100]}") from error
    return {load: total.count() for load, total in totals.items()}


def oldest_round_seconds(text: str) -> float:
    """Return how long ago the operator's oldest round ended; NotMetrics if its metrics do not say."""
    for line in text.splitlines():
        if line.startswith(f"{_OLDEST_ROUND} "):
            try:
                return float(line.rpartition(" ")[2])
            except ValueError:
                break
    raise NotMetrics(f"its metrics lack {_OLDEST_ROUND}")


@lru_cache(_MAX_SERIES)
def _series(text: str) -> _Series | None:
    """Parse a line's series, without its value; None if it is not shown. KeyError: a label is missing."""
    name, _, rest = text.partition("{")
    labels = {key: one_line(_ESCAPED.sub(r"\1", value)) for key, value in _LABEL.findall(rest)}
    access = labels["access"] if name == _SINCE_ACK else _access(labels["op"])
    if labels["workload"] in _NOT_SHOWN or access == _LOAD or (labels["route"], access) == ("any", "write"):
        return None
    route = Route(
        engine=labels["engine"],
        namespace=labels["cluster_namespace"],
        cluster=labels["cluster"],
        vantage=labels["vantage"],
        route=labels["route"],
        access=access,
    )
    detail = {_OPERATIONS: "outcome", _LATENCY: "le"}.get(name)
    return _Series(name, Load(route, labels["workload"]), labels[detail] if detail else "")


def _access(operation: str) -> str:
    return operation if operation in ("read", _LOAD) else "write"
