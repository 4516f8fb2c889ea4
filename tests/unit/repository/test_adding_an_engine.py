"""An engine is folders of its own, a row of the contract's table, and an entry in each registry that is keyed by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.adding import Tree

from caplab.contract.names import GROUP, VERSION

TABLE, FOR_CHART = "caplab/contract/engines.py", "charts/caplab/files/engines.json"
OPERATOR, RUNS = "operator/caplab_operator/handlers/engines.py", "experiments/chaoscaplab/clusters/engines.py"
PROJECT, SCRAPES = "pyproject.toml", "charts/caplab/files/prometheus.yaml"
LINKS, METRICS = "dashboards/caplab_dashboards/links.py", "dashboards/caplab_dashboards/sources.py"
EDITED = {TABLE, FOR_CHART, OPERATOR, RUNS, PROJECT, SCRAPES, LINKS, METRICS, "dashboards/run.json"}
MAX_EDITED = 9

ROW = """TOY = Engine(name="toy", kind="ToyCluster", has_primary=False, port=7777, metrics_port=7778)
ENGINES = (POSTGRES, REDIS, CASSANDRA, TOY)
"""
HANDLERS = '''"""Handlers of ToyCluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..api import Api
from ..faults.targets import Roles

Body = Mapping[str, Any]


class ToyClusters:
    """The handlers of ToyClusters."""

    def reconcile(self, api: Api, body: Body) -> None:
        """Apply nothing."""

    def run_round(self, api: Api, body: Body, before: Body, active_faults: Mapping[str, str]) -> Body:
        """Find it Ready."""
        return {"phase": "Ready"}

    def roles(self, api: Api, namespace: str, cluster: str, listed: Callable[[], Sequence[Body]]) -> Roles:
        """Find no primary."""
        return Roles(has_primaries=False)
'''
CLIENT = '''"""Clients of a ToyCluster."""

from __future__ import annotations

from typing import Any

from caplab.contract.engines import TOY

from ...links import Client, ClientFactory


def client(*_: Any) -> Client:
    """Make no client."""
    raise NotImplementedError


FACTORY = ClientFactory(engine=TOY, client=client)
'''
MODULE = '''"""A toy under test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract.engines import TOY
from caplab.model.fields import Json
from caplab.model.runs import FirstCommit

from ..server import Body, Server

ENGINE = TOY
READY_SECONDS = 1.0
SCAN_ROUTES: Sequence[str] = ("direct",)
LEVELS: Mapping[str, Sequence[str]] = {}


def settings_in_force(server: Server, namespace: str, body: Body) -> dict[str, Json]:
    """Return none."""
    return {}


def differences(spec: Mapping[str, Json], in_force: Mapping[str, Json]) -> list[str]:
    """Find none."""
    return []


def not_ready(body: Body) -> str:
    """Return ''."""
    return ""


def not_caught_up(server: Server, namespace: str, body: Body) -> str:
    """Return ''."""
    return ""


def switch_over(server: Server, namespace: str, body: Body) -> None:
    """Do nothing."""


def first_commit(server: Server, namespace: str, body: Body, before: str, run_id: str) -> FirstCommit | None:
    """Return None."""
    return None
'''
CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: toyclusters.GROUP
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: ToyCluster, singular: toycluster, plural: toyclusters, categories: [caplab]}
  versions:
  - name: VERSION
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {replicas: {type: integer}}}
          status: {type: object, properties: {phase: {type: string, maxLength: 20}}}
""".replace("GROUP", GROUP).replace("VERSION", VERSION)
JOB = """- job_name: caplab-toy
  http_sd_configs: *targets
# The exporters themselves"""
REGISTRIES = ("caplab_operator.handlers.wiring", "caplab_probes.engines", "chaoscaplab.clusters.engines")
DOES = """
import json
from caplab_cluster.chart import used_images
from caplab_operator.handlers.engines import controllers
from caplab_operator.uninstall import KINDS
from caplab_probes.engines import factory_for
from chaoscaplab.clusters.engines import engine_named
from chaoslib.discovery import discover
from support.chart.crd_schema import problems, schemas

from caplab.contract.names import API_VERSION, FAULT
from caplab.contract.objects import FaultSpec
from caplab.watch.objects import cluster_of

print(type(controllers()["ToyCluster"].handlers).__name__)
print(factory_for("ToyCluster").engine.port, engine_named("toy").ENGINE.kind)
print("ToyCluster" in KINDS, "toy" in used_images(), "ToyCluster" in schemas())
spec = {"target": {"kind": "ToyCluster", "name": "t", "role": "any"}, "kill": {}, "durationSeconds": 5}
print(problems({"apiVersion": API_VERSION, "kind": FAULT, "metadata": {"name": "x"}, "spec": spec}))
print(FaultSpec.from_body(spec).target.kind)
print(len(discover("chaoscaplab", discover_system=False, download_and_install=False)["activities"]) > 20)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree.copied(tmp_path / "tree")


def with_table(tree: Tree) -> None:
    tree.edit(TABLE, "ENGINES = (POSTGRES, REDIS, CASSANDRA)\n", ROW)


def with_folders(tree: Tree) -> None:
    tree.add("operator/caplab_operator/engines/toy/__init__.py", '"""Toy clusters."""\n')
    tree.add("operator/caplab_operator/handlers/toy.py", HANDLERS)
    tree.add("probes/caplab_probes/engines/toy/__init__.py", '"""The client of toys."""\n')
    tree.add("probes/caplab_probes/engines/toy/client.py", CLIENT)
    tree.add("experiments/chaoscaplab/clusters/toy.py", MODULE)
    tree.add("charts/caplab/templates/crds/toycluster.yaml", CRD)
    board = (tree.root / "dashboards/caplab_dashboards/boards/cassandra.py").read_text()
    tree.add("dashboards/caplab_dashboards/boards/toy.py", board.replace("cassandra", "toy"))
    tree.add("images/toy/Dockerfile", "ARG FROM_BASE\nFROM ${FROM_BASE}\n")


def with_registries(tree: Tree) -> None:
    (tree.root / FOR_CHART).write_text(tree.python("-m", "caplab.contract.engines"))
    tree.edit(
        OPERATOR, "import CASSANDRA, POSTGRES, REDIS, complete", "import CASSANDRA, POSTGRES, REDIS, TOY, complete"
    )
    tree.edit(OPERATOR, "\nBody = Mapping", "from .toy import ToyClusters\n\nBody = Mapping")
    tree.edit(OPERATOR, "    registry = {\n", "    registry = {\n        TOY: ClusterController(ToyClusters()),\n")
    tree.edit(RUNS, "from . import cassandra, postgres, redis\n", "from . import cassandra, postgres, redis, toy\n")
    tree.edit(RUNS, "(postgres, redis, cassandra)", "(postgres, redis, cassandra, toy)")
    for package in ("caplab_operator", "caplab_probes"):
        last = f'    "{package}.engines.redis",\n'
        tree.edit(PROJECT, last, f'{last}    "{package}.engines.toy",\n')
    tree.edit(PROJECT, "boards.cassandra |", "boards.cassandra | boards.toy |")
    tree.edit(LINKS, '"redis", "cassandra")', '"redis", "cassandra", "toy")')
    last = '"cassandra": CASSANDRA}'
    tree.edit(METRICS, last, last.replace("}", ', "toy": {"toy_hints_total": COUNTER}}'))
    tree.python("-m", "caplab_dashboards", "write")
    tree.edit(SCRAPES, "# The exporters themselves", JOB)


def test_an_engine_is_added_by_its_folders_and_few_other_files(tree: Tree) -> None:
    with_table(tree)
    with_folders(tree)
    with_registries(tree)
    assert tree.edited() == EDITED
    assert len(EDITED) <= MAX_EDITED
    assert tree.python("-c", DOES).splitlines() == [
        "ToyClusters",
        "7777 ToyCluster",
        "True True True",
        "[]",
        "ToyCluster",
        "True",
    ]


def test_an_engine_that_a_registry_lacks_is_refused(tree: Tree) -> None:
    with_table(tree)
    code = "import importlib\n"
    for module in REGISTRIES:
        code += f"try:\n    m = importlib.import_module('{module}'); m.Lab(api=None)\n"
        code += "except LookupError as error:\n    print(error)\n"
    refusals = tree.python("-c", code).splitlines()
    registries = ("caplab_operator.handlers.engines", *REGISTRIES[1:])
    assert refusals == [
        f"The engine toy (ToyCluster) is in caplab.contract.engines, but not in {registry}. Hint: add it there."
        for registry in registries
    ]
