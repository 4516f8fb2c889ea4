"""The chart's templates, read without helm: with what the table of engines gives them, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from caplab.contract.engines import BY_KIND, ENGINES

_PORTS = [{"protocol": "TCP", "port": engine.metrics_port} for engine in ENGINES]
# As templates/_engines.tpl makes them; chart_checks.py holds them to what helm renders.
_INCLUDED = {"caplab.cluster-kinds": sorted(BY_KIND), "caplab.metrics-ports": _PORTS}


def filled(template: str) -> str:
    """Put what is derived from the engines into a template."""
    for name, value in _INCLUDED.items():
        template = template.replace(f'{{{{ include "{name}" . }}}}', json.dumps(value))
    return template


def read_crd(file: Path) -> dict[str, Any]:
    """Read a template of a kind."""
    crd: dict[str, Any] = yaml.safe_load(filled(file.read_text()))
    return crd
