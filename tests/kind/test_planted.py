"""A setting that is not what its row says ends invalid: planted where an experiment claims a mode that it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from caplab_cluster.paths import REPOSITORY
from kind_lab import Lab, log_folder

from caplab.judging import judge_folder
from caplab.verdict import Verdict

pytestmark = pytest.mark.long

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


def claiming(experiment: str, mode: str, folder: Path) -> Path:
    """The experiment's file, but it says that it is a case of another row."""
    document: dict[str, Any] = yaml.safe_load((REPOSITORY / "experiments" / f"{experiment}.yaml").read_text())
    (extension,) = document["extensions"]
    extension["row"]["mode"] = mode
    file = folder / f"{experiment.replace('/', '-')}-planted.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def verdict_of(lab: Lab, file: Path, settings: dict[str, str], results: Path) -> Verdict:
    log = log_folder() / f"{file.stem}.log"
    told = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    with log.open("w") as out:
        subprocess.run(
            [str(Path(sys.executable).parent / "caplab"), "run", str(file), "--keep", "--results", str(results), *told],
            env={**os.environ, "KUBECONFIG": str(lab.cache.kubeconfig)}, stdout=out, stderr=out, check=False,
        )  # fmt: skip
    print(f"\n{log.read_text()}")
    (folder,) = results.glob("*/01-*")
    return judge_folder(folder).verdict


@pytest.mark.parametrize(("experiment", "settings", "mode", "broken"), PLANTED)
def test_a_wrong_setting_ends_invalid(
    lab: Lab, tmp_path: Path, experiment: str, settings: dict[str, str], mode: str, broken: str
) -> None:
    verdict = verdict_of(lab, claiming(experiment, mode, tmp_path), settings, tmp_path / "results")
    assert verdict.state.value == "invalid", verdict.reasons
    assert any(reason.startswith(broken) for reason in verdict.reasons), verdict.reasons
