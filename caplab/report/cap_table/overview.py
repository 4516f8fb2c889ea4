"""The CAP table at a glance: a line for each row, with what clients experienced beside what was promised."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from caplab.model.expectations import Expectation, Promise, PropertyExpectation
from caplab.verdict import Judgement

from ..grid import Grid
from .cells import NOT_MEASURED, promised, shown

# The results of a row's newest runs for a property.
Judged = Callable[[Expectation, PropertyExpectation], Sequence[Judgement]]

# The properties of each column, in a few words; '' if the column's name is enough.
_COLUMNS = {
    "not served for": {
        "failoverTime": "", "writeOutage": "writes", "readOutage": "reads", "outages": "outages",
        "unackedShare": "share",
    },
    "served into the fault for": {"writesServed": "writes", "readsServed": "reads"},
    "acked writes lost": {"lost": ""},
    "old or wrong reads": {
        "stale": "", "dirty": "dirty", "readYourWrites": "own writes", "monotonicReads": "going back",
        "notLinearizable": "keys not linearizable",
    },
    "anomalies of transactions": {
        "lostUpdates": "lost updates", "writeSkews": "write skews", "readSkews": "read skews",
        "longForks": "long forks",
    },
    "two primaries": {"twoPrimaries": ""},
    "loads of one miss": {"stampedeMax": ""},
    "reads' p99 over the normal p99": {"readP99Ratio": ""},
    "peak of loads over their mean": {"loadPeak": ""},
    "recovered after": {"timeToRecover": ""},
    "runs that do not end by themselves": {"metastable": ""},
}  # fmt: skip


def overview(title: str, rows: Sequence[tuple[Expectation, str]], judged: Judged) -> Grid:
    """Build a line for each row, with its verdict in a word. Columns without any content are left out."""
    named = {expected.property for row, _ in rows for expected in row.properties}
    columns = {title: words for title, words in _COLUMNS.items() if named & words.keys()}
    header = ("mode", "fault", *columns, "verdict")
    lines = tuple(
        (row.mode, row.fault, *(_cell(row, words, judged) for words in columns.values()), verdict)
        for row, verdict in rows
    )
    return Grid(title, header, lines, frozenset(range(len(header))))


def _cell(row: Expectation, words: dict[str, str], judged: Judged) -> str:
    judgements_of = [(expected, judged(row, expected)) for expected in row.properties if expected.property in words]
    return "; ".join(_part(expected, words[expected.property], judgements) for expected, judgements in judgements_of)


def _part(expected: PropertyExpectation, word: str, judgements: Sequence[Judgement]) -> str:
    """Format a property, such as 'majority: 22.890 s (≤ 26.0 s)'."""
    of = " ".join(part for part in (expected.side, word) if part)
    figure = shown(judgements) if judgements else NOT_MEASURED
    return f"{of}{': ' if of else ''}{figure.split(' (<')[0]}{_promise(expected, judgements)}"


def _promise(expected: PropertyExpectation, judgements: Sequence[Judgement]) -> str:
    return "" if expected.promise is Promise.POSSIBLE else f" ({promised(expected, judgements).split('  (')[0]})"
