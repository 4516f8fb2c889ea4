"""`chaos discover` finds every action and probe, with the types and the meaning of its arguments."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import chaoscaplab
import yaml
from caplab_cluster.paths import REPOSITORY
from chaoscaplab.discovery import ACTIONS, PROBES, type_name
from chaoslib.discovery.package import get_discover_function


def discovered() -> dict[tuple[str, str], dict[str, Any]]:
    discovery = get_discover_function(chaoscaplab)(discover_system=True)
    return {(activity["mod"], activity["name"]): activity for activity in discovery["activities"]}


def test_discovery_finds_every_action_and_probe_and_nothing_else() -> None:
    """A module with __all__ is one of activities, and __all__ has every public function of its own."""
    written = set()
    for module in pkgutil.walk_packages(chaoscaplab.__path__, "chaoscaplab."):
        loaded = importlib.import_module(module.name)
        if module.ispkg or not hasattr(loaded, "__all__"):
            continue
        assert module.name in (*ACTIONS, *PROBES)
        for name in loaded.__all__:
            written.add((module.name, name))
    assert set(discovered()) == written
    assert {mod for mod, _ in written} == {*ACTIONS, *PROBES}


def used_in_experiments() -> set[tuple[str, str]]:
    used = set()
    for file in (REPOSITORY / "experiments").glob("*/*.yaml"):
        document = yaml.safe_load(file.read_text())
        steps = [*(document.get("method") or ()), *(document.get("rollbacks") or ())]
        steps += (document.get("steady-state-hypothesis") or {}).get("probes", ())
        used |= {(step["provider"]["module"], step["provider"]["func"]) for step in steps}
    return used


def test_what_experiments_use_is_discovered() -> None:
    assert used_in_experiments()
    assert used_in_experiments() <= set(discovered())


def test_every_argument_has_a_type_and_is_explained() -> None:
    for (module, name), activity in discovered().items():
        function = getattr(importlib.import_module(module), name)
        assert activity["doc"], name
        assert activity["return_type"] in ("boolean", "list", "mapping", "number"), name
        assert activity["type"] == ("action" if module in ACTIONS else "probe")
        assert [argument["name"] for argument in activity["arguments"]] == list(inspect.signature(function).parameters)
        for argument in activity["arguments"]:
            assert argument["type"] in ("boolean", "integer", "list", "mapping", "number", "string"), argument
            if module in (ACTIONS[0], ACTIONS[1], PROBES[1]) and argument["name"] not in ("configuration", "namespace"):
                assert argument["name"] in activity["doc"], f"{name} does not explain {argument['name']}"


def test_names_of_types_are_those_of_chaos_toolkit() -> None:
    assert type_name(list[str] | None) == "list"
    assert type_name(Sequence[str]) == "list"
    assert type_name(dict[str, Any]) == "mapping"
    assert type_name(bool) == "boolean"


def test_the_name_it_is_discovered_by_is_of_the_labs_version() -> None:
    metadata = (REPOSITORY / "experiments" / "chaoscaplab.dist-info" / "METADATA").read_text()
    assert f"\nVersion: {version('caplab')}\n" in metadata


def test_the_stock_command_discovers_it_by_its_name(tmp_path: Path) -> None:
    """As `chaos discover --no-install chaoscaplab` has it: by a distribution of that name."""
    script = (
        "import json, sys; from chaoslib.discovery import discover\n"
        "found = discover('chaoscaplab', discover_system=False, download_and_install=False)\n"
        "json.dump(found, sys.stdout)"
    )
    paths = [REPOSITORY / name for name in ("", "cluster", "experiments", "probes", "operator")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    discovery = json.loads(done.stdout)
    assert discovery["extension"]["name"] == "chaoscaplab"
    assert {(activity["mod"], activity["name"]) for activity in discovery["activities"]} == set(discovered())
