"""Fixtures of the tests on the real cluster, as `make up` made it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest
from support.kind.kind_lab import Lab, connect

from caplab.contract.names import CLUSTERS_LABEL


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marked by their folder; an idle cluster is measured before anything else has run on it, and gone at the end."""
    for item in items:
        if "tests/kind" in str(item.path):
            item.add_marker(pytest.mark.kind)
    places = {"test_idle.py": -1, "test_down.py": 1}
    items.sort(key=lambda item: places.get(item.path.name, 0))


@pytest.fixture(scope="session")
def lab() -> Lab:
    lab = connect()
    assert lab.cluster.problems() == [], "run `make up` first"
    return lab


@pytest.fixture
def namespace(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, open to clusters, gone afterwards."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:45] + f"-{uuid.uuid4().hex[:8]}"
    lab.kubectl("create", "namespace", name)
    lab.kubectl("label", "namespace", name, f"{CLUSTERS_LABEL}=allowed")
    yield name
    lab.kubectl("delete", "namespace", name, "--wait=false")
