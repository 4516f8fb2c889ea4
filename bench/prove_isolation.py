"""Prove the checker isolation, and keep it: docs/evidence/isolation.md.

python bench/prove_isolation.py                       # all parts, half an hour of processor time at most
python bench/prove_isolation.py --part databases      # one part, printed and not kept

Planted anomalies; simulated databases; every order of the transactions by force; and adya, a Rust crate of the same
purpose (`cargo install adya`; --adya is its path), of which every disagreement must be of a kind that was decided. The
part beside adya is left out, with a note, where adya is not installed. What `bench/isolation.py` printed is kept.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import isolation_disagreements as disagreements
import isolation_orders
from adya_harness import NAMES, Answer, answers
from caplab_cluster.paths import REPOSITORY
from evidence import made_by
from isolation_findings import allows, anomalies, check, history_of
from isolation_histories import COMMITTED, DIRTY, LEVELS, SERIALIZABLE, SNAPSHOT, STRICT, random_small, simulated
from support.checkers.planted_isolation import PLANTED

from caplab.check.isolation import models

PAGE = REPOSITORY / "docs" / "evidence" / "isolation.md"
FIGURES = "## How fast"  # what comes after is written by bench/isolation.py
PROMISES = {
    STRICT: (models.SERIALIZABLE, models.BY_TIME),
    SERIALIZABLE: (models.SERIALIZABLE, models.BASE),
    SNAPSHOT: (models.SNAPSHOT, models.BY_TIME),
    COMMITTED: (models.READ_COMMITTED, models.BY_TIME),
    DIRTY: None,
}
# What each level allows, and must show in some of its histories.
SHOWN = {
    STRICT: (),
    SERIALIZABLE: ("realtime_cycles",),
    SNAPSHOT: ("g2_item",),
    COMMITTED: ("lost_updates", "g_single", "g2_item"),
    DIRTY: ("g0", "g1a", "g1b", "g1c"),
}
WORDS = {
    "realtime_cycles": "stale reads (cycles with real time)",
    "g2_item": "write skew",
    "lost_updates": "lost updates",
    "g_single": "read skew",
    "g0": "write cycles",
    "g1a": "aborted reads",
    "g1b": "intermediate reads",
    "g1c": "circular information flow",
}
ADYA = "## Beside adya"
_BATCH = 250


def small(seed: int) -> tuple[list[dict[str, object]], bool]:
    """Return up to six transactions, random or of a simulated database, and whether of registers (a third)."""
    registers = seed % 3 == 2
    if seed % 2:
        return random_small(seed, registers), registers
    level = LEVELS[seed // 2 % len(LEVELS)]
    return simulated(level, seed, transactions=2 + seed // 10 % 5, sessions=3, registers=registers), registers


def planted() -> tuple[Counter[str], list[str]]:
    """Return how many anomalies of each figure were planted, and those that are not found, named and proven."""
    counts: Counter[str] = Counter()
    missed = []
    for name, each in PLANTED.items():
        finding = check(each.history())
        proven = [tuple(op["row"] for op in one["operations"]) for one in finding.figures["witnesses"]]  # type: ignore[union-attr,index,call-overload]
        counts[each.figure] += 1
        if not finding.figures[each.figure] or each.rows not in proven or finding.figures["model"] != each.model:
            missed.append(name)
    return counts, missed


def databases(histories: int) -> tuple[Counter[str], list[str]]:
    """Return in how many histories each simulated database showed what, and the false alarms."""
    shown: Counter[str] = Counter()
    alarms = []
    for level, seed in itertools.product(LEVELS, range(histories)):
        finding = check(history_of(simulated(level, seed, registers=seed % 2 == 1)))
        promise = PROMISES[level]
        if promise is not None and not allows(finding, *promise):
            alarms.append(f"{level} {seed}: {finding.reason}")
        for name in WORDS:
            shown[f"{level} {name}"] += bool(finding.figures[name])
        shown[f"{level} all"] += 1
    return shown, alarms


def forced(histories: int, begin: int = 0) -> tuple[Counter[str], list[str]]:
    """Return how the checker and every order by force agree on each model, and where they do not."""
    counts: Counter[str] = Counter()
    wrong = []
    for seed in range(begin, begin + histories):
        rows, registers = small(seed)
        finding, explained = check(history_of(rows)), isolation_orders.allowed(rows)
        counts["histories"] += 1
        for model, order in itertools.product(isolation_orders.MODELS, models.ORDERS):
            ours, exists = allows(finding, model, order), (model, order) in explained
            if model == models.READ_COMMITTED and finding.figures["internal"]:
                # By force a transaction sees what it wrote itself; here that is asked for from PL-2+ on.
                counts["left out"] += 1
            elif ours and not exists and (finding.figures["unplaced"] or finding.figures["undecided"]):
                counts[f"{'registers' if registers else 'lists'} open"] += 1
            elif ours != exists:
                wrong.append(f"{seed}: {order} {model}: by force {exists}, checker: {finding.reason} {rows}")
            else:
                counts[f"{'registers' if registers else 'lists'} {model} {exists}"] += 1
    return counts, wrong


Compared = tuple[Counter[str], dict[str, list[str]]]


def beside_adya(adya: str, histories: int) -> Iterator[Compared]:
    """Yield again and again how often the two agree, and all disagreements by their kind, the last time for all."""
    counts: Counter[str] = Counter()
    kinds: dict[str, list[str]] = {}
    batches = [range(begin, min(begin + _BATCH, histories)) for begin in range(0, histories, _BATCH)]
    with ProcessPoolExecutor() as pool:
        for some, more in pool.map(_batch_beside_adya, itertools.repeat(adya), batches):
            counts += some
            for kind, cases in more.items():
                kinds.setdefault(kind, []).extend(cases)
            yield counts, kinds


def _batch_beside_adya(adya: str, batch: range) -> Compared:
    counts: Counter[str] = Counter()
    kinds: dict[str, list[str]] = {}
    for registers in (False, True):
        seeds = [seed for seed in batch if small(seed)[1] == registers]
        tables = [history_of(small(seed)[0]) for seed in seeds]
        for seed, table, answer in zip(seeds, tables, answers(adya, tables, registers), strict=True):
            found = anomalies(check(table))
            counts["histories"] += 1
            counts["with disagreement"] += _compare(seed, found, answer, counts, kinds)
    return counts, kinds


def _compare(
    seed: int,
    found: set[tuple[str, str]],
    answer: Mapping[str, Answer],
    counts: Counter[str],
    kinds: dict[str, list[str]],
) -> bool:
    (rows, registers), ranks = small(seed), models.allowed(found)
    differ = False
    for (model, order), name in NAMES.items():
        ours, theirs = ranks[order] >= models.rank_of(model), name not in answer[order].refused
        counts["comparisons"] += 1
        counts[f"{'allowed' if ours else 'refused'} by both"] += ours == theirs
        if ours != theirs:
            differ = True
            case = disagreements.Case(
                rows=rows,
                registers=registers,
                model=model,
                order=order,
                ours=ours,
                found=frozenset(found),
                theirs=answer[order].anomalies,
            )
            kind = disagreements.kind_of(case)
            kinds.setdefault(kind, []).append(f"{seed}: {name}, checker {ours}, adya {theirs}: {rows}")
    return differ


# The page.


def planted_part(_: argparse.Namespace) -> tuple[bool, list[str]]:
    """Return the part on planted anomalies."""
    counts, missed = planted()
    lines = [f"| {name} | {count} |" for name, count in counts.items()]
    good = not missed and counts.total() >= 25
    return good, [
        "## Planted anomalies",
        f"{counts.total()} histories with one anomaly each (`tests/support/checkers/planted_isolation.py`). Found, with"
        " the right figure, the transactions that prove it as witness, and the strongest model that is left named:"
        f" {counts.total() - len(missed)} of {counts.total()}.{_listed(missed)}",
        "\n".join(["| figure | planted |", "| :-- | --: |", *lines]),
    ]


def databases_part(arguments: argparse.Namespace) -> tuple[bool, list[str]]:
    """Return the part on simulated databases."""
    shown, alarms = databases(arguments.histories)
    good = not alarms
    lines = []
    for level in LEVELS:
        promise = PROMISES[level]
        words = "nothing" if promise is None else _named(*promise)
        must = [f"{WORDS[name]} in {shown[f'{level} {name}']:,}" for name in SHOWN[level]]
        good = good and all(shown[f"{level} {name}"] for name in SHOWN[level])
        alarm = sum(each.startswith(f"{level} ") for each in alarms)
        lines.append(f"| {level} | {words} | {shown[f'{level} all']:,} | {alarm} | {', '.join(must) or 'nothing'} |")
    return good, [
        "## Simulated databases",
        "Twelve transactions of four sessions, on lists and on registers by turns, some aborted and some of unknown"
        " outcome. strict: two-phase locks. serializable: the same, but what only reads may see a state of the past."
        " snapshot: the first one to commit wins. committed: every read sees the latest committed state, and what is"
        " written is locked. dirty: all is seen at once, and aborts undo nothing.",
        "\n".join(
            [
                "| database | promises | histories | false alarms | what it must show |",
                "| :-- | :-- | --: | --: | :-- |",
                *lines,
            ]
        )
        + _listed(alarms),
    ]


def forced_part(arguments: argparse.Namespace) -> tuple[bool, list[str]]:
    """Return the part on every order."""
    counts, wrong = forced(arguments.forced)
    lines = []
    for workload, model in itertools.product(("lists", "registers"), isolation_orders.MODELS):
        allowed, refused = (counts[f"{workload} {model} {exists}"] for exists in (True, False))
        lines.append(f"| {workload} | {model} | {allowed:,} | {refused:,} |")
    unknown = counts["registers open"] + counts["lists open"]
    return not wrong, [
        "## Every order by force",
        f"{counts['histories']:,} histories of up to six transactions, random ones and of the simulated databases. For"
        " each model, plain, strong session and strong, `bench/isolation_orders.py` tries every order of the"
        f" transactions, and every snapshot. Disagreements: {len(wrong)}.{_listed(wrong)}",
        "\n".join(["| of | model | allowed by both | refused by both |", "| :-- | :-- | --: | --: |", *lines]),
        f"Left out are {counts['left out']:,} comparisons at read committed, of histories in which a transaction"
        " contradicts itself: by force it sees what it wrote, and the checker asks for that from PL-2+ on. In"
        f" {unknown:,} comparisons ({counts['lists open']:,} of lists) the checker allowed what no order explains, and"
        " said itself that it does not know: there are blind writes of registers (`unplaced`), or appends that nobody"
        " read (`undecided`).",
    ]


def adya_part(arguments: argparse.Namespace) -> tuple[bool, list[str]]:
    """Return the part beside adya."""
    if shutil.which(arguments.adya) is None:
        return True, [ADYA, "Not compared: adya is not on this machine (`cargo install adya`)."]
    counts, kinds = list(beside_adya(arguments.adya, arguments.agree))[-1]
    return said_of_adya(counts, kinds)


def said_of_adya(counts: Counter[str], kinds: dict[str, list[str]]) -> tuple[bool, list[str]]:
    """Return whether every disagreement is decided, and the part in words."""
    open_kinds = [kind for kind in kinds if kind not in disagreements.DECISIONS]
    parts = [
        ADYA,
        f"The same {counts['histories']:,} histories of up to six transactions, {len(NAMES)} models of each (adya knows"
        f" no strong cursor stability and PL-2+): {counts['comparisons']:,} comparisons, of which"
        f" {counts['allowed by both']:,} are allowed by both and {counts['refused by both']:,} refused by both."
        f" {counts['with disagreement']:,} histories have one or more of"
        f" {sum(map(len, kinds.values())):,} disagreements. Every one is of one of these kinds, each decided by hand:",
    ]
    for kind, decision in disagreements.DECISIONS.items():
        if kind in kinds:
            parts += [
                f"### {kind[0].upper()}{kind[1:]}: {len(kinds[kind]):,}",
                decision,
                f"```text\n{_wrapped(min(kinds[kind], key=len))}\n```",
            ]
    return not open_kinds, [
        *parts,
        f"Disagreements of no kind that is decided: {sum(len(kinds[kind]) for kind in open_kinds)}."
        + _listed([each for kind in open_kinds for each in kinds[kind]]),
    ]


PARTS = {"planted": planted_part, "databases": databases_part, "forced": forced_part, "adya": adya_part}


def _named(model: str, order: str) -> str:
    if order == models.BASE:
        return model
    return models.STRICT if model == models.SERIALIZABLE else f"strong {model}"


def _listed(wrong: Sequence[str]) -> str:
    return "".join(f"\n- {each}" for each in wrong[:20])


def _wrapped(example: str) -> str:
    """Return an example with a line for each transaction."""
    return example.replace(": [{", ":\n  {").replace("}, {", "}\n  {").removesuffix("]")


def main() -> int:
    """Run the parts, print them, and write the page if all were run. Returns 0 if they proved what they must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, help="this one only, and keep nothing")
    parser.add_argument("--adya", default="adya", help="the path of adya")
    parser.add_argument("--histories", type=int, default=2000, help="of each simulated database")
    parser.add_argument("--forced", type=int, default=6000)
    parser.add_argument("--agree", type=int, default=10_000)
    arguments = parser.parse_args()
    paragraphs = ["# What the checker isolation finds", made_by(__file__, os.getloadavg()[0])]
    good = True
    for name, part in PARTS.items():
        if arguments.part in (None, name):
            proven, said = part(arguments)
            good = good and proven
            paragraphs += said
            print("\n\n".join([*said, "proven" if proven else "NOT PROVEN"]), end="\n\n", flush=True)
    if arguments.part is None:
        PAGE.write_text("\n\n".join([*paragraphs, *_kept(PAGE)]) + "\n", encoding="utf-8")
    return 0 if good else 1


def _kept(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return [text[text.index(FIGURES) :].rstrip()] if FIGURES in text else []


if __name__ == "__main__":
    sys.exit(main())
