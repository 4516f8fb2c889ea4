"""The dashboards' JSON, beside this package."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from . import links
from .boards import cache, overview, run

FOLDER = Path(__file__).resolve().parents[1]
BOARDS: Mapping[str, Callable[[], dashboard.Dashboard]] = {
    "overview": overview.dashboard_,
    "run": run.dashboard_,
    **{engine: import_module(f".boards.{engine}", __package__).dashboard_ for engine in links.OF_ENGINES},
    "cache": cache.dashboard_,
}


def render(board: dashboard.Dashboard) -> str:
    """Return the JSON of a dashboard, always the same for the same dashboard."""
    return json.dumps(board, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def rendered() -> dict[str, str]:
    """Return the JSON of each dashboard, by the name of its file."""
    return {f"{name}.json": render(make()) for name, make in BOARDS.items()}


def write(folder: Path = FOLDER) -> list[Path]:
    """Write the files that have changed, and return them."""
    changed = []
    for name, text in rendered().items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            changed.append(path)
    return changed


def read(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Return each dashboard's JSON as it is in its file."""
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in BOARDS}


def through_models(board: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dashboard's JSON once it has passed through the models of Grafana's schema, with panels and queries."""
    plugins.register_default_plugins()
    loaded = dashboard.Dashboard.from_json(dict(board))
    again: dict[str, Any] = json.loads(json.dumps(loaded, cls=JSONEncoder))
    return again
