"""A fault is a folder: adding one edits the contract, the schema, the agent's map, the actions, and the docs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.adding import Tree

CONTRACT, SCHEMA = "caplab/contract/objects.py", "charts/caplab/templates/crds/fault.yaml"
AGENT, ACTIONS = "operator/caplab_agent/injectors/__init__.py", "experiments/chaoscaplab/faults/actions.py"
DOCS, PAGE = "docs/faults.md", "docs/experiments.md"
EDITED = {CONTRACT, SCHEMA, AGENT, ACTIONS, DOCS, PAGE}
FOLDER = '''"""Stall: nothing happens to a pod."""

from __future__ import annotations

import threading
from dataclasses import replace

from caplab.contract.objects import Stall
from caplab.contract.phases import ACTIVE

from ...faults import Body, FaultRecord, Heal
from ...injector import FaultInjector, FaultKind, HealResult, Node, ended


class StallInjector(FaultInjector):
    """The injector of stalls."""

    def __init__(self, node: Node) -> None:
        self._clock = node.clock

    def inject(self, record: FaultRecord, pod: Body, stopped: threading.Event) -> FaultRecord | None:
        """Do nothing."""
        now = self._clock.now()
        return replace(record, state=ACTIVE, proven=True, injected_ns=now.ns, injected_at=now.stamp)

    def heal(self, record: FaultRecord, heal: Heal) -> FaultRecord:
        """Undo nothing."""
        return ended(record, heal, HealResult(("stalled",)), self._clock.now(), self._clock)

    def poll(self, record: FaultRecord) -> FaultRecord:
        """See nothing."""
        return record


STALL = FaultKind(Stall, lambda stall, _: stall, StallInjector)
'''
RECORD = '''@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(FaultAction):
    """A Fault's spec.stall."""

    depth: int = body_field(filled=1)


'''
PROPERTY = """\
              stall:
                description: Nothing happens.
                type: object
                properties:
                  depth: {type: integer, default: 1}
"""
ACTION = '''

def stall(
    cluster: str, depth: int = 1, seconds: int = 10, namespace: str = "", configuration: Configuration | None = None
) -> dict[str, Any]:
    """Do nothing to the primary of a cluster for the given seconds.

    cluster: its name. depth: of nothing. namespace: the cluster's.
    """
    run = current_run()
    target = target_of(_kind(run, cluster, ""), cluster, "", 1, None, "", "", 0)
    spec = FaultSpec(target=target, stall=Stall(depth=depth), duration_seconds=int(seconds))
    return inject(run, namespace_of(run, configuration, namespace), spec)


def nothing('''

# The agent with the fakes of its tests: it parses the fault, injects it, journals and counts it, reports and heals it.
AGENT_DOES = """
import tempfile
from pathlib import Path

from caplab_agent.exporter import registry_of
from caplab_agent.injectors import kind_of
from prometheus_client import generate_latest
from support.agent.lab import deleted, fault, lab_in, state, wait_until

with tempfile.TemporaryDirectory() as folder:
    for lab in lab_in(Path(folder)):
        body = fault()
        del body["spec"]["kill"]
        body["spec"]["stall"] = {"depth": 3}
        lab.start()
        lab.api.put(body, "ADDED")
        wait_until(lambda: state(lab) == "Active", 60)
        lab.restart()
        wait_until(lambda: len(lab.agent.live()) == 1, 60)
        (record,) = lab.journal.read()
        print(kind_of(record.assignment), record.assignment.action)
        metrics = generate_latest(registry_of("n", lab.agent.live, lambda: 0.0)).decode()
        print(*(line for line in metrics.splitlines() if 'kind="stall"' in line))
        lab.api.put(deleted(lab.api.faults["f1"]))
        wait_until(lambda: state(lab) == "Healed", 60)
        print(lab.api.target()["proven"], lab.api.target()["evidence"])
"""
# The schema accepts it, the operator resolves, follows and counts it, lists name it, and experiments have its action.
OTHERS_DO = """
import os
from datetime import UTC, datetime

from caplab_operator.exporter.faults import fault_metrics
from chaoscaplab.discovery import discover
from support.chart.crd_schema import problems
from support.metrics.exported_metrics import cluster
from support.objects.fake_fault_api import FakeFaultApi, handlers_of
from support.operator.fault_bodies import advance, synced
from support.operator.fault_inventory import INVENTORY, NOW, PG, anew, body, of, spec, status_of, with_pods

from caplab.contract.objects import Fault
from caplab.faults.rows import read_fault, row_of

os.environ["CAPLAB_NAMESPACE"] = "caplab-system"
stall = body(spec(of("pg", role="primary"), stall={"depth": 3}))
print(problems(stall), problems(body(spec(of("pg"), stall={"depth": "deep"}))))
api = FakeFaultApi(stall)
advance(handlers_of(api), stall)
print(api.written, [entry["pod"] for entry in api.entries])
live = {**stall, "status": status_of([{**entry, "state": "Gone"} for entry in api.entries])}
print([entry["pod"] for entry in synced(live, with_pods(anew(PG[1])), NOW)["targets"]])
metrics = fault_metrics([Fault.from_body(live)], [cluster("PostgresCluster", "pg")], datetime.now(UTC))
print([sample.value for sample in next(iter(metrics)).samples if sample.labels["kind"] == "stall"])
print(row_of(read_fault(stall), NOW).kind)
print([activity["name"] for activity in discover()["activities"] if activity["name"] == "stall"])
"""
# The tests that hold the registries together.
TESTS = (
    "tests/unit/faults/test_kinds.py",
    "tests/unit/repository/test_contract.py",
    "tests/unit/repository/test_docs.py",
    "-k",
    "every_registry or field_by_field or every_action_and_probe",
)


def with_contract(tree: Tree) -> None:
    partition = "@dataclass(frozen=True, slots=True, kw_only=True)\nclass Partition(FaultAction):\n"
    tree.edit(CONTRACT, partition, RECORD + partition)
    field = "    partition: Partition | None = body_field()\n"
    tree.edit(CONTRACT, field, f"{field}    stall: Stall | None = body_field()\n")


def with_agent(tree: Tree) -> None:
    tree.add("operator/caplab_agent/injectors/stall/__init__.py", FOLDER)
    tree.edit(
        AGENT, "from .partition import PARTITION\n", "from .partition import PARTITION\nfrom .stall import STALL\n"
    )
    tree.edit(AGENT, '"partition": PARTITION}', '"partition": PARTITION, "stall": STALL}')


def with_others(tree: Tree) -> None:
    tree.edit(SCHEMA, "has(self.freeze) ||", "has(self.freeze) || has(self.stall) ||")
    tree.edit(SCHEMA, "has(self.freeze), ", "has(self.freeze), has(self.stall), ")
    tree.edit(SCHEMA, "              durationSeconds:\n", f"{PROPERTY}              durationSeconds:\n")
    tree.edit(ACTIONS, '"nothing", "partition"]', '"nothing", "partition", "stall"]')
    tree.edit(ACTIONS, "FaultSpec, Freeze, Kill, Partition\n", "FaultSpec, Freeze, Kill, Partition, Stall\n")
    tree.edit(ACTIONS, "\n\ndef nothing(", ACTION)
    after = "\nA Fault cannot take away a whole node."
    tree.edit(DOCS, after, f"| `stall` | none | everything | none |\n{after}")
    tree.edit(PAGE, "`heal`, `nothing` |", "`heal`, `nothing`, `stall` |")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree.copied(tmp_path / "tree")


def test_a_fault_is_added_by_its_folder_and_four_files_beside_its_docs(tree: Tree) -> None:
    with_contract(tree)
    with_agent(tree)
    with_others(tree)
    assert tree.edited() == EDITED
    assert tree.python("-c", AGENT_DOES + OTHERS_DO).splitlines() == [
        "stall Stall(depth=3)",
        'caplab_agent_faults_active{kind="stall",node="n"} 1.0',
        "True ['stalled', 'healed early: the Fault was deleted']",
        "[] [\"object.spec.stall.depth: 'deep' is no integer\"]",
        "['hold', 'status Pending'] ['pg-1']",
        "['pg-1', 'pg-1']",
        "[1.0]",
        "stall",
        "['stall']",
    ]
    tree.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)


def test_a_fault_that_only_the_agent_knows_is_caught(tree: Tree) -> None:
    with_agent(tree)
    tree.edit("operator/caplab_agent/injectors/stall/__init__.py", "import Stall\n", "import Kill as Stall\n")
    caught = tree.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, code=1)
    assert "the agent's map has stall, unlike the contract" in caught
