"""Beside our checker: adya, a Rust crate of the same purpose (`cargo install adya`), and which models it allows."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isolation_histories import write_adya

from caplab.check.isolation import models
from caplab.check.isolation.models import BASE, BY_SESSION, BY_TIME
from caplab.model.history import Table

# What adya calls our models, by the order that they also keep. It knows no strong variants of the other two.
NAMES = {
    (models.READ_UNCOMMITTED, BASE): "read-uncommitted",
    (models.READ_COMMITTED, BASE): "read-committed",
    (models.CURSOR_STABILITY, BASE): "cursor-stability",
    (models.PARALLEL_SNAPSHOT, BASE): "consistent-view",
    (models.SNAPSHOT, BASE): "snapshot-isolation",
    (models.SERIALIZABLE, BASE): "serializable",
    (models.READ_UNCOMMITTED, BY_SESSION): "strong-session-read-uncommitted",
    (models.READ_COMMITTED, BY_SESSION): "strong-session-read-committed",
    (models.SNAPSHOT, BY_SESSION): "strong-session-snapshot-isolation",
    (models.SERIALIZABLE, BY_SESSION): "strong-session-serializable",
    (models.READ_UNCOMMITTED, BY_TIME): "strong-read-uncommitted",
    (models.READ_COMMITTED, BY_TIME): "strong-read-committed",
    (models.SNAPSHOT, BY_TIME): "strong-snapshot-isolation",
    (models.SERIALIZABLE, BY_TIME): "strict-serializable",
}
# Of session order it takes note only where nothing of real time is asked for.
_ASKED = {BASE: "serializable", BY_SESSION: "strong-session-serializable", BY_TIME: "strict-serializable"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What adya says of a history when a model is asked for: the anomalies, and the models that these rule out."""

    anomalies: frozenset[str]
    refused: frozenset[str]


def command(adya: str, registers: bool, asked: str) -> list[str]:
    """Return the command, to which files are added. Registers: a write follows what its transaction had read."""
    workload = ["-m", "rw-register", "--wfr-keys"] if registers else ["-m", "list-append"]
    return [adya, "check", *workload, "-c", asked]


def answers(adya: str, histories: Sequence[Table], registers: bool) -> list[dict[str, Answer]]:
    """Return for each history what adya says, by the order that is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.jsonl" for number in range(len(histories))]
        for history, file in zip(histories, files, strict=True):
            write_adya(history, file)
        by_order = {}
        for order, asked in _ASKED.items():
            full = [*command(adya, registers, asked), "--json", *map(str, files)]
            done = subprocess.run(full, stdout=subprocess.PIPE, text=True, check=False, timeout=600)
            by_order[order] = list(_reports(done.stdout))
    return [dict(zip(by_order, each, strict=True)) for each in zip(*by_order.values(), strict=True)]


def _reports(text: str) -> Iterator[Answer]:
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        report, at = decoder.raw_decode(text, at)
        while at < len(text) and text[at].isspace():
            at += 1
        yield Answer(frozenset(report["anomalies"]), frozenset([*report["not"], *report["also_not"]]))
