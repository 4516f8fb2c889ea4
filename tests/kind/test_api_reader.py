"""What the tests read of the API server by themselves is what kubectl reads."""

from __future__ import annotations

import json

import pytest
from caplab_cluster.chart import NAMESPACE
from support.kind.kind_lab import Lab

from caplab.contract.names import GROUP
from caplab.kube.errors import ApiError

pytestmark = pytest.mark.beside

QUESTIONS = [
    ("configmaps,svc", "-n", "kube-system"),
    ("CustomResourceDefinition", f"faults.{GROUP}"),
    ("service", "-n", "default", "kubernetes"),
    ("daemonset/caplab-agent", "-n", NAMESPACE),
    ("sa/caplab-agent", "sa/caplab-operator", "-n", NAMESPACE),
    ("clusterroles", "-l", "app.kubernetes.io/managed-by=Helm"),
    ("sa", "-A", "--field-selector", "metadata.name=caplab-operator"),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_an_answer_is_that_of_kubectl(lab: Lab, question: tuple[str, ...]) -> None:
    ours, kubectls = lab.get(*question), json.loads(lab.kubectl("get", *question, "-o", "json"))
    assert ours["kind"] == kubectls["kind"]
    assert ours.get("items") == kubectls.get("items")
    assert ours.get("items") != []
    assert ours.get("spec") == kubectls.get("spec")


def test_what_is_not_there_is_an_error(lab: Lab) -> None:
    for question in (("pod", "absent", "-n", "default"), ("absents", "-n", "default")):
        with pytest.raises((ApiError, KeyError), match="absent"):
            lab.get(*question)
