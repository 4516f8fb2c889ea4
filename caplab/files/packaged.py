"""The files that the package carries: in a wheel inside the package, in a checkout where they are edited."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent


def experiments_folder() -> Path:
    """Return the experiments' folder."""
    return _packaged("experiments", "experiments")


def expectations_path() -> Path:
    """Return the file of the project's own table of expectations."""
    return _packaged("expectations.yaml", "experiments/expectations.yaml")


def evidence_folder() -> Path:
    """Return the folder of the last verdicts of each row; the lab's images have none."""
    return _packaged("evidence", "docs/evidence/cap")


def recorded_folder() -> Path:
    """Return the folder of the recorded suite that `caplab demo` shows; the lab's images have none."""
    return _packaged("recorded", "docs/evidence/demo")


def _packaged(name: str, in_checkout: str) -> Path:
    packaged = _PACKAGE / name
    return packaged if packaged.exists() else _PACKAGE.parent / in_checkout
