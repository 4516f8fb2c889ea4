"""Session guarantees: what a session may rely on although it talks to several replicas.

Terry et al., "Session guarantees for weakly consistent replicated data", PDIS 1994, as far as reads show them, for
registers with ordered values (see versions). A session is a (vantage, session).
"""

from __future__ import annotations

import numpy as np

from caplab.check.checker import Checker, Property
from caplab.check.columns import Mask
from caplab.check.finding import Context, Finding, State
from caplab.check.series import labelled
from caplab.check.sides import by_side
from caplab.check.versions import Versions, applies, keys_left_out, too_few_reads, versions_of
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import all_of, counted, grouped

from .order import Sessions, sessions_of
from .search import Violations, search
from .witnesses import witnesses

__all__ = ["NAME", "applies", "check"]

NAME = "sessions"


def check(history: Table, context: Context) -> Finding:
    """Count the ok reads that broke a guarantee; each counts at most once for each of the four.

    Read r of session T is in violation of
    - read_your_writes: T had written a newer version of r's key before, and that was acked;
    - monotonic_reads: T had read a newer version of r's key before;
    - monotonic_writes: T had before read the very value of a write w2, before which w2's session had written a newer
      version of r's key, and that was acked;
    - writes_follow_reads: T had before read the very value of a write w2, before which w2's session had read a newer
      version of r's key.
    Before: in one session, returned by the time the other was invoked. w2 may be of T, of r's key, and of unknown
    outcome. What an info write wrote is older than nothing, since it may have taken effect late; nothing is older than
    all else. Guarantees that follow from several steps (causal order as a whole) are not looked for.

    Figures beside the four: keys, keys_skipped (values not ordered), reads (of what somebody wrote: what nobody did is
    staleness' to tell), sessions, and by_route, by_level and
    by_vantage with a row each; by_side, reads and the four of each side of a cut (sides.by_side).

    Violated by any. Unknown with fewer than context.enough reads, or without such keys.
    """
    versions = versions_of(history, context.initial)
    if versions.problem:
        return Finding(
            property=NAME,
            state=State.UNKNOWN,
            reason=versions.problem,
            figures={"keys": 0, "keys_skipped": versions.skipped},
        )
    sessions = sessions_of(history, versions)
    violations = search(versions, sessions)
    figures = _figures(history, versions, sessions, violations)
    figures["by_side"] = by_side(history, context, versions.reads.row, lambda which: _of_reads(violations, which))
    figures["witnesses"] = witnesses(history, versions, violations, context)
    state, reason = _judge(figures, violations, context.enough)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


def _figures(history: Table, versions: Versions, sessions: Sessions, violations: Violations) -> dict[str, Json]:
    return {
        **{name: len(each.read) for name, each in violations.items()},
        "keys": versions.keys,
        "keys_skipped": versions.skipped,
        "reads": len(versions.reads.row),
        "sessions": sessions.count,
        **{f"by_{name}": _by(history, name, versions, violations) for name in ("route", "level", "vantage")},
    }


def _by(history: Table, name: str, versions: Versions, violations: Violations) -> list[Json]:
    label, words = labelled(history, name, versions.reads.row)
    counts = {"reads": np.bincount(label, minlength=len(words))}
    counts |= {kind: np.bincount(label[each.read], minlength=len(words)) for kind, each in violations.items()}
    return [
        {name: words[number], **{kind: int(count[number]) for kind, count in counts.items()}}
        for number in np.flatnonzero(counts["reads"]).tolist()
    ]


def _of_reads(violations: Violations, which: Mask) -> dict[str, Json]:
    counts: dict[str, Json] = {kind: int(which[each.read].sum()) for kind, each in violations.items()}
    return {"reads": int(which.sum()), **counts}


def _judge(figures: dict[str, Json], violations: Violations, enough: int) -> tuple[State, str]:
    reads = figures["reads"]
    wrong = [f"{grouped(figures[name])} of {name.replace('_', ' ')}" for name in violations if figures[name]]
    left_out = keys_left_out(figures["keys_skipped"])
    if wrong:
        return State.VIOLATED, f"Violations in {counted(reads, 'read')}: {', '.join(wrong)}{left_out}."
    if not isinstance(reads, int) or reads < enough:
        return State.UNKNOWN, too_few_reads(reads, enough, figures["keys_skipped"])
    sessions = counted(figures["sessions"], "session")
    return State.HOLDS, f"{all_of(reads, 'read')} of {sessions} kept the four guarantees{left_out}."


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property(name="readYourWrites", words="reads that miss own writes", figure="read_your_writes", of="reads"),
        Property(name="monotonicReads", words="reads that go back", figure="monotonic_reads", of="reads"),
        Property(name="monotonicWrites", words="writes seen out of order", figure="monotonic_writes", of="reads"),
        Property(
            name="writesFollowReads", words="writes seen before their causes", figure="writes_follow_reads", of="reads"
        ),
    ),
)
