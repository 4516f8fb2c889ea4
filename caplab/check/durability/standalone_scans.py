"""Sets in a history without a run's record: each is judged by the last scan of it that the rows show.

A scan is what one session asked one server about one set at one moment. Every scan is looked at for elements that
nobody added, or that are there twice; the last of a set shows which acked ones are lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask, among, codes, integers, present
from caplab.check.lines import by_line, packed
from caplab.check.scans import scan_numbers
from caplab.check.versions import key_codes
from caplab.model.history import Table
from caplab.nouns import are, counted

from .adds import Adds, within
from .outcomes import AddOutcomes

_NO_SCAN = "There is no record of a final scan."


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneScans:
    """The rows of all scans of sets, and of each scan what tells it from others."""

    row: Integers  # in the history
    set: Integers
    scan: Integers
    value: Integers
    shows: Mask  # whether the row has an element that was surely found
    set_of: Integers  # of each scan
    invoke_ns: Integers
    server: Sequence[str | None]
    together: Mask  # whether it asked all members together
    service: Mask  # whether it went through the service
    bad_rows: Integers  # how many of its rows are not ok


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of the adds, the rows that show what is wrong, and why nothing can be said of the rest, or ''."""

    outcomes: AddOutcomes
    unexpected: Integers  # rows in the history, one for each element
    duplicated: list[tuple[int, int]]
    unjudged: int  # acked adds that are in no last scan that began after their ack
    problem: str


def judged(history: Table, adds: Adds) -> Judged:
    """Judge each set by its own scans; the adds must be by set and value."""
    scans = _scans(history, adds)
    added, shown = packed((adds.set, adds.value), (scans.set, scans.value))
    finals, problems = _last_scans(scans, adds)
    judging = np.zeros(len(scans.set_of), dtype=np.bool_)
    judging[[scan for chosen in finals.values() for scan in chosen]] = True
    begun_ns = np.full(len(adds.sets), -NEVER)  # without a scan nothing is judged
    for number, chosen in finals.items():
        begun_ns[number] = min(int(scans.invoke_ns[scan]) for scan in chosen)
    order = np.argsort(shown, kind="stable")
    order = order[scans.shows[order]]
    elements = shown[order]
    there = within(added, elements[judging[scans.scan[order]]])
    lost = adds.ok & ~there & (adds.return_ns < begun_ns[adds.set])
    unjudged = adds.ok & ~there & ~lost
    problems += _too_early(adds, unjudged, begun_ns)
    unexpected = order[~within(elements, added[~adds.failed])]
    unexpected = unexpected[np.unique(shown[unexpected], return_index=True)[1]]
    twice = _twice(scans, shown, order)
    outcomes = AddOutcomes(
        there=there,
        lost=lost,
        unacked_found=~adds.ok & ~adds.failed & there,
        unexpected=scans.value[unexpected],
        duplicated=scans.value[twice[:, 0]],
    )
    return Judged(
        outcomes=outcomes,
        unexpected=scans.row[unexpected],
        duplicated=[(int(scans.row[first]), int(scans.row[second])) for first, second in twice.tolist()],
        unjudged=int(unjudged.sum()),
        problem=problems[0] if problems else "",
    )


def _twice(scans: StandaloneScans, shown: Integers, order: Integers) -> Integers:
    """Return, for each element that a scan shows twice, the places of two such rows; order is by element."""
    order = order[by_line(scans.scan[order])]
    again = (shown[order[1:]] == shown[order[:-1]]) & (scans.scan[order[1:]] == scans.scan[order[:-1]])
    pairs = np.stack((order[:-1][again], order[1:][again]), axis=1)
    return np.asarray(pairs[np.unique(shown[pairs[:, 0]], return_index=True)[1]])


def _scans(history: Table, adds: Adds) -> StandaloneScans:
    row, number, ok = _rows_of_sets(history, adds)
    server, words = codes(history, "server")
    invoke_ns = integers(history, "invoke_ns", 0)[row]
    scan, first = scan_numbers(history, row, number)
    count = len(first)
    together, service = (among(history, name, [word])[row] for name, word in (("server", "all"), ("route", "service")))
    return StandaloneScans(
        row=row,
        set=number,
        scan=scan,
        value=integers(history, "value", 0)[row],
        shows=ok & present(history, "value")[row],
        set_of=number[first],
        invoke_ns=invoke_ns[first],
        server=[None if code < 0 else words[code] for code in server[row[first]].tolist()],
        together=np.bincount(scan[together], minlength=count) > 0,
        service=np.bincount(scan[service], minlength=count) > 0,
        bad_rows=np.bincount(scan[~ok], minlength=count),
    )


def _rows_of_sets(history: Table, adds: Adds) -> tuple[Integers, Integers, Mask]:
    """Return the rows of scans of sets, the set of each, and which are ok.

    A row with neither key nor value says that nothing was found in any set.
    """
    key, names = key_codes(history)
    scan = np.flatnonzero(among(history, "op", ["scan"]))
    ok, number = among(history, "outcome", ["ok"])[scan], adds.set_of_key[key[scan]]
    of_all = (number < 0) & (key[scan] == len(names) - 1) & ~present(history, "value")[scan]
    if adds.nameless_is_other or not of_all.any():
        return scan[number >= 0], number[number >= 0], ok[number >= 0]
    many = np.where(of_all, len(adds.sets), (number >= 0).astype(np.int64))
    place = np.repeat(np.arange(len(scan)), many)
    nth = np.arange(len(place)) - np.repeat(np.cumsum(many) - many, many)
    return scan[place], np.where(of_all[place], nth, number[place]), ok[place]


def _last_scans(scans: StandaloneScans, adds: Adds) -> tuple[dict[int, list[int]], list[str]]:
    """Return, for each set, the scans that judge it, and the problems of sets without any that can.

    Of the scans that began after all acked adds had returned (without any: of all), those of all members together
    decide, else those through the service, else all: the one that began last, with those that began with it, and the
    last of every other server. A scan with rows that are not ok failed; then the last that went well still shows what
    was lost.
    """
    acked_ns = np.full(len(adds.sets), -NEVER)
    np.maximum.at(acked_ns, adds.set[adds.ok], adds.return_ns[adds.ok])
    by_set: list[list[int]] = [[] for _ in range(len(adds.sets))]
    for scan, number in enumerate(scans.set_of.tolist()):
        by_set[number].append(scan)
    finals, problems = {}, []
    for number, some in enumerate(by_set):
        if not some:
            problems.append(_no_scan(adds, number) if len(scans.row) else _NO_SCAN)
            continue
        late = [scan for scan in some if scans.invoke_ns[scan] >= acked_ns[number]]
        pool = _preferred(scans, late or some)
        last = _began_last(scans, pool)
        if bad := sum(int(scans.bad_rows[scan]) for scan in last):
            problems.append(f"The final scan failed: {counted(bad, 'row')} of it {are(bad)} not ok.")
            pool = _preferred(scans, [scan for scan in some if not scans.bad_rows[scan]])
        if pool:
            finals[number], problem = _agreeing(scans, pool)
            problems += [problem] if problem else []
    return finals, problems


def _no_scan(adds: Adds, number: int) -> str:
    return (
        f"There is no scan of set '{adds.sets[number]}'. Hint: a scan that finds nothing needs a row without a value."
    )


def _preferred(scans: StandaloneScans, some: list[int]) -> list[int]:
    for kind in (scans.together, scans.service):
        if chosen := [scan for scan in some if kind[scan]]:
            return chosen
    return some


def _began_last(scans: StandaloneScans, some: list[int]) -> list[int]:
    last_ns = max(int(scans.invoke_ns[scan]) for scan in some)
    return [scan for scan in some if scans.invoke_ns[scan] == last_ns]


def _agreeing(scans: StandaloneScans, pool: list[int]) -> tuple[list[int], str]:
    """Return the last scan, those that began with it and the last of other servers, and how they differ, or ''."""
    last = _began_last(scans, pool)
    chosen = last + list(_last_of_others(scans, pool, {scans.server[scan] for scan in last}))
    if len(chosen) == 1:
        return chosen, ""
    elements = [_elements(scans, scan) for scan in chosen]
    for scan, found in zip(chosen[1:], elements[1:], strict=True):
        if not np.array_equal(found, elements[0]):
            sizes = f"({len(elements[0]):,} and {counted(len(found), 'element')})"
            names = " and ".join(f"'{scans.server[each]}'" for each in (chosen[0], scan))
            which = f"the last scans of {names}" if scans.server[scan] != scans.server[chosen[0]] else "its last scans"
            return chosen, f"The members had not converged before the final scan: {which} differ {sizes}."
    return chosen, ""


def _last_of_others(scans: StandaloneScans, pool: list[int], servers: set[str | None]) -> Iterator[int]:
    """Yield the last scan of every other server, if it went well."""
    latest: dict[str | None, int] = {}
    for scan in sorted(pool, key=lambda each: int(scans.invoke_ns[each])):
        latest[scans.server[scan]] = scan
    for server, scan in latest.items():
        if server not in servers and not scans.bad_rows[scan]:
            yield scan


def _elements(scans: StandaloneScans, scan: int) -> Integers:
    return np.unique(scans.value[(scans.scan == scan) & scans.shows])


def _too_early(adds: Adds, unjudged: Mask, begun_ns: Integers) -> list[str]:
    """Return that acked adds are missing from a scan which they did not return before."""
    late = unjudged & (begun_ns[adds.set] > -NEVER) & (adds.return_ns >= begun_ns[adds.set])
    if not (count := int(late.sum())):
        return []
    many = f"{counted(count, 'acked operation')} had not returned when it began"
    return [f"The members had not converged before the final scan: {many}."]
