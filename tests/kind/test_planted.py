"""A setting that is not what its row says ends invalid: planted where an experiment claims a mode that it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.kind.kind_lab import Lab
from support.kind.lab_runs import run
from support.runs.planted_experiments import claiming

pytestmark = [pytest.mark.alone, pytest.mark.long]

# The experiment, its settings, the mode that it claims to be, and what its row must find broken.
PLANTED: list[tuple[str, dict[str, str], str, str]] = [
    ("postgres/partition-primary", {"durability": "async", "cut": "group"}, "quorum", "lost"),
    ("redis/partition-primary", {"wait": "0", "minimum": "min-0"}, "wait-0-min-1", "lost"),
    ("cassandra/partition-node", {"write": "ONE", "read": "ONE"}, "QUORUM-QUORUM", "stale"),
    # Each protection of a cache, switched off in its own row.
    ("cache/expire-hot-key", {"protection": "none"}, "lock", "stampedeMax"),
    ("cache/expire-hot-key", {"protection": "none"}, "xfetch", "readP99Ratio"),
    ("cache/expire-hot-key", {"protection": "none"}, "refresh-ahead", "readP99Ratio"),
    ("cache/expire-hot-key", {"protection": "none"}, "stale-while-revalidate", "readP99Ratio"),
    ("cache/avalanche", {"protection": "none"}, "jitter", "loadPeak"),
    ("cache/outage", {"protection": "none"}, "lock", "metastable"),
]


@pytest.mark.parametrize(("experiment", "settings", "mode", "broken"), PLANTED)
def test_a_wrong_setting_ends_invalid(
    lab: Lab, tmp_path: Path, experiment: str, settings: dict[str, str], mode: str, broken: str
) -> None:
    _, verdict, _ = run(lab, tmp_path / "results", str(claiming(experiment, mode, tmp_path)), **settings)
    (judged,) = verdict["runs"]
    planted = f"{experiment} {' '.join(f'{name}={value}' for name, value in settings.items())}"
    print(f"\n| {planted} | {judged['name']} | {judged['verdict']} | {' '.join(judged['reasons'])} |")
    assert judged["verdict"] == "invalid", judged["reasons"]
    assert any(reason.startswith(broken) for reason in judged["reasons"]), judged["reasons"]
