"""Prove the checker isolation: planted anomalies, simulated databases, every order by force, and agreement with adya.

Prints the counts. adya is a Rust crate of the same purpose (`cargo install adya`); its path is --adya.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from isolation_histories import LEVELS, random_small, simulated, write_adya
from support.checkers.planted_isolation import PLANTED
from support.checkers.transactions import Transaction, table_of

from caplab.check import CHECKERS, Context, Finding, State
from caplab.model.history import Table

ENOUGH = Context(enough=1)
ALLOWED = {
    "serial": "strict serializable",
    "snapshot": "strong snapshot isolation",
    "committed": "strong read committed",
    "dirty": "none",
}
RANKS = (
    "read uncommitted", "read committed", "cursor stability", "parallel snapshot isolation", "snapshot isolation",
    "serializable",
)  # fmt: skip
ADYA_MODELS = {"serializable": "serializable", "strict": "strict-serializable"}


def check(history: Table) -> Finding:
    """Run the checker."""
    return CHECKERS["isolation"].check(history, ENOUGH)


def history_of(rows: Iterable[Mapping[str, object]]) -> Table:
    """Return the history of simulated or random transactions."""
    return table_of(
        Transaction(
            micro=str(row["micro"]),
            begin=int(str(row["begin"])),
            end=None if row["outcome"] == "info" else int(str(row["end"])),
            session=int(str(row["session"])) if row["outcome"] == "ok" else None,
            outcome=str(row["outcome"]),
        )
        for row in rows
    )


def keeps(finding: Finding, model: str) -> bool:
    """Return whether the history allows a model: serializable or strict, or that of a simulated database."""
    allows = [str(each) for each in finding.figures["allows"]]  # type: ignore[union-attr]
    if model == "none":
        return True
    if model == "serializable":
        return any(each.endswith("serializable") for each in allows)
    if model in ("strict", "strict serializable"):
        return "strict serializable" in allows
    wanted = RANKS.index(model.removeprefix("strong "))
    strong = [
        each for each in allows if (each.startswith("strong ") and "session" not in each) or each.startswith("strict")
    ]
    return any(RANKS.index(each.removeprefix("strong ").removeprefix("strict ")) >= wanted for each in strong)


def by_force(rows: list[dict[str, object]]) -> bool:
    """Return whether some order of the transactions, those of unknown outcome with or without, explains every read."""
    sure = [json.loads(str(row["micro"])) for row in rows if row["outcome"] == "ok"]
    unsure = [json.loads(str(row["micro"])) for row in rows if row["outcome"] == "info"]
    for count in range(len(unsure) + 1):
        for some in itertools.combinations(unsure, count):
            everyone = [(each, True) for each in sure] + [(each, False) for each in some]
            if any(_explained(order) for order in itertools.permutations(everyone)):
                return True
    return False


def _explained(order: Iterable[tuple[list[list[object]], bool]]) -> bool:
    state: dict[object, object] = {}
    for micro, is_known in order:
        for op, key, value in micro:
            if op == "append":
                state[key] = [*state.get(key, []), value]  # type: ignore[misc]
            elif op == "w":
                state[key] = value
            elif is_known and (state.get(key) or None) != (value or None):
                return False
    return True


def planted() -> list[str]:
    """Return the planted anomalies that are not found and proven."""
    missed = []
    for name, each in PLANTED.items():
        finding = check(each.history())
        proven = [tuple(op["row"] for op in one["operations"]) for one in finding.figures["witnesses"]]  # type: ignore[union-attr,index,call-overload]
        if not finding.figures[each.figure] or each.rows not in proven or finding.figures["model"] != each.model:
            missed.append(name)
    return missed


def databases(histories: int) -> tuple[Counter[str], list[str]]:
    """Return what each simulated database showed, and the false alarms."""
    shown: Counter[str] = Counter()
    alarms = []
    for level, seed in itertools.product(LEVELS, range(histories)):
        registers = seed % 2 == 1
        finding = check(history_of(simulated(level, seed, registers=registers)))
        if not keeps(finding, ALLOWED[level]):
            alarms.append(f"{level} {seed}: {finding.reason}")
        for name in ("g1a", "lost_updates", "g_single", "g2_item"):
            shown[f"{level} {name}"] += bool(finding.figures[name])
        shown[f"{level} all"] += 1
    return shown, alarms


def forced(histories: int) -> tuple[Counter[str], list[str]]:
    """Return how the checker and every order by force agree on serializability, and where they do not."""
    counts: Counter[str] = Counter()
    wrong = []
    for seed in range(histories):
        registers = seed % 3 == 2
        rows = random_small(seed, registers)
        finding, exists = check(history_of(rows)), by_force(rows)
        ours = keeps(finding, "serializable")
        # Of registers with blind writes the checker says that it does not know.
        open_ = registers and int(str(finding.figures["unplaced"])) > 0
        counts[f"{'registers' if registers else 'lists'} {'serializable' if exists else 'not'}"] += 1
        if ours != exists and not (ours and open_):
            wrong.append(f"{seed}: by force {exists}, checker {finding.reason} {rows}")
        counts["registers left open"] += ours and not exists
    return counts, wrong


def with_adya(adya: str, histories: int) -> tuple[Counter[str], list[str]]:
    """Return how the checker and adya agree on strict serializability, and where they do not."""
    counts: Counter[str] = Counter()
    differ = []
    with tempfile.TemporaryDirectory() as folder:
        for begin in range(0, histories, 500):
            for registers, model in ((False, "list-append"), (True, "rw-register")):
                seeds = [seed for seed in range(begin, min(begin + 500, histories)) if (seed % 3 == 2) == registers]
                files = []
                for seed in seeds:
                    files.append(str(Path(folder) / f"{seed}.jsonl"))
                    write_adya(history_of(random_small(seed, registers)), Path(files[-1]))
                for name, words in ADYA_MODELS.items():
                    command = [adya, "check", "-m", model, "-c", words, *(["--wfr-keys"] if registers else []), *files]
                    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
                    theirs = _verdicts(done.stdout)
                    for seed, file in zip(seeds, files, strict=True):
                        finding = check(history_of(random_small(seed, registers)))
                        ours = keeps(finding, name)
                        counts[f"{model} {name} {'valid' if ours else 'not'} {theirs[file]}"] += 1
                        # adya does not know where nothing depends on anything; nor does the checker's state.
                        same = (
                            finding.state is State.UNKNOWN
                            if theirs[file] == "unknown"
                            else theirs[file] == str(ours).lower()
                        )
                        if not same:
                            differ.append(f"{model} {seed} {name}: adya {theirs[file]}; {finding.reason}")
    return counts, differ


def _verdicts(text: str) -> dict[str, str]:
    return dict(line.split("\t")[:2] for line in text.splitlines() if line.count("\t") == 1 and ".jsonl" in line)


def main() -> None:
    """Run the proofs and print what they gave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adya", default="adya")
    parser.add_argument("--histories", type=int, default=2000, help="of each simulated database")
    parser.add_argument("--forced", type=int, default=3000)
    parser.add_argument("--agree", type=int, default=10_000)
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], object]] = {
        "planted": planted,
        "databases": lambda: databases(arguments.histories),
        "forced": lambda: forced(arguments.forced),
        "adya": lambda: with_adya(arguments.adya, arguments.agree),
    }
    for name, part in parts.items():
        print(name, part(), flush=True)


if __name__ == "__main__":
    main()
