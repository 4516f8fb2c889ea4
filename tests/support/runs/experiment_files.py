"""The experiments' files as documents, each read only once: YAML is slow to read, and every row needs one."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import yaml

from caplab.judging import experiments_folder


def loaded(name: str) -> dict[str, Any]:
    """Load an experiment's document, such as postgres/kill-primary: a copy that the caller may change."""
    return deepcopy(_read(name))


@cache
def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((experiments_folder() / f"{name}.yaml").read_text())
    return document
