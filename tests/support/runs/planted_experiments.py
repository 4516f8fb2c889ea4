"""Experiments that claim another row, which must detect that."""

from __future__ import annotations

from pathlib import Path

import yaml

from support.runs.experiment_files import loaded


def claiming(experiment: str, mode: str, folder: Path) -> Path:
    """Write the experiment's file with the claim that it is a case of another row."""
    document = loaded(experiment)
    (extension,) = document["extensions"]
    extension["row"]["mode"] = mode
    file = folder / f"{experiment.replace('/', '-')}-planted.yaml"
    file.write_text(yaml.safe_dump(document))
    return file
