"""Fixtures of the tests on the real cluster, as `make up` made it, and the order in which these run."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Generator, Iterator

import pytest
from support.kind.echo_pods import EchoPods, make_echo_pods
from support.kind.failure_record import record_failure
from support.kind.kind_lab import Lab, connect
from support.kind.lab_state import left_by_faults

from caplab.contract.names import ALLOWED, CHAOS_LABEL, CLUSTERS_LABEL

# An idle cluster is measured before anything else has run on it, and the release is removed after all have used it.
# Side by side, the longest come first.
FIRST = [
    "test_idle.py",
    "test_cassandra_cluster.py",
    "test_redis_cluster.py",
    "test_postgres_cluster.py",
    "test_runs_beside.py",
    "test_fault_conformance.py",
]
LAST = ["test_chart.py"]
GROUPS = {"alone", "paired", "beside", "last"}  # see pyproject.toml


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests by their folder, and refuse a file that is in no group or in several."""
    on_kind = [item for item in items if "tests/kind" in str(item.path)]
    for item in on_kind:
        item.add_marker(pytest.mark.kind)
    wrong = {item.path.name for item in on_kind if len(GROUPS & {mark.name for mark in item.iter_markers()}) != 1}
    if wrong:
        raise pytest.UsageError(f"{', '.join(sorted(wrong))}: each file here is in one group: {', '.join(GROUPS)}")
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    name = item.path.name
    return FIRST.index(name) - len(FIRST) if name in FIRST else 1 + LAST.index(name) if name in LAST else 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep a record of the cluster for each failure: by the time that somebody reads of it, the cluster is gone."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and isinstance(lab, Lab):
        try:
            kept = str(record_failure(lab, item.name, report.longreprtext))
        except Exception as error:  # an error in a hook would end the whole session
            kept = f"could not be kept: {error!r}"
        report.sections.append(("record", kept))
    return report


@pytest.fixture(scope="session")
def lab() -> Lab:
    lab = connect()
    assert lab.cluster.problems() == [], "run `make up` first"
    return lab


def _namespace(lab: Lab, name: str, label: str) -> Iterator[str]:
    """A namespace that is open to clusters, or to faults too, and goes in the end."""
    name = f"{name}-{uuid.uuid4().hex[:8]}"
    metadata = {"name": name, "labels": {label: ALLOWED}}
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield name
    if label == CHAOS_LABEL:
        lab.kubectl("delete", "faults", "--all", "-n", name, "--wait=true", "--timeout=30s")
    lab.kubectl("delete", "namespace", name, "--wait=false")


def _named_after(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:45]


@pytest.fixture
def namespace(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, open to clusters, gone afterwards."""
    yield from _namespace(lab, _named_after(request.node.name), CLUSTERS_LABEL)


@pytest.fixture(scope="module")
def shared_namespace(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for all tests of a file, open to clusters and faults, gone afterwards."""
    yield from _namespace(lab, _named_after(request.path.stem.removeprefix("test_")), CHAOS_LABEL)


@pytest.fixture(scope="module")
def echo_pods(lab: Lab, shared_namespace: str) -> EchoPods:
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    return make_echo_pods(lab, shared_namespace)


@pytest.fixture
def nothing_left(lab: Lab, echo_pods: EchoPods) -> Iterator[None]:
    """Whatever a test did to the echo pods is over in the end, and left nothing on any node."""
    yield
    lab.kubectl("delete", "faults", "--all", "-n", echo_pods.namespace, "--wait=true", "--timeout=30s")
    assert left_by_faults(lab, echo_pods.namespace) == []
