"""What README.md and docs/ show is taken by the API server too, whose rules no unit test can follow."""

from __future__ import annotations

import json

import pytest
from caplab_cluster.shell import ask
from support.docs_examples import manifests, pages
from support.kind.kind_lab import Lab

from caplab.contract.names import API_VERSION, CHAOS_LABEL

pytestmark = pytest.mark.beside


def test_every_manifest_that_is_shown_is_taken(lab: Lab, namespace: str) -> None:
    lab.kubectl("label", "namespace", namespace, f"{CHAOS_LABEL}=allowed")
    for page in pages():
        for shown in manifests(page.read_text()):
            there = {**shown, "metadata": {**shown["metadata"], "namespace": namespace}}
            command = [*lab.kubectl_command(), "create", "--dry-run=server", "--validate=strict", "-f", "-"]
            answer = ask(command, stdin=json.dumps(there))
            assert answer.ok, f"{page.name}: {shown['kind']} {shown['metadata']['name']}: {answer.err}"


def test_a_manifest_with_a_word_that_is_none_is_not(lab: Lab, namespace: str) -> None:
    wrong = {"apiVersion": API_VERSION, "kind": "PostgresCluster",
             "metadata": {"name": "pg", "namespace": namespace}, "spec": {"durabilty": "quorum"}}  # fmt: skip
    command = [*lab.kubectl_command(), "create", "--dry-run=server", "--validate=strict", "-f", "-"]
    answer = ask(command, stdin=json.dumps(wrong))
    assert not answer.ok
    assert 'unknown field "spec.durabilty"' in answer.err
