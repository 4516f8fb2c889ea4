"""What each account of the lab may do, by the API server's word, is what docs/security.md says, and nothing more."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from caplab_cluster.chart import NAMESPACE as LAB_NAMESPACE
from caplab_cluster.chart import RELEASE
from caplab_cluster.paths import CHART
from caplab_cluster.shell import ask
from caplab_operator.engines import objects
from caplab_operator.engines.postgres import manifests as postgres
from caplab_operator.engines.postgres.spec import parse
from support.chart.rights_table import Right, difference, in_table, rights_of
from support.kind import cluster_object
from support.kind.kind_lab import Lab, in_namespace, wait_until

pytestmark = pytest.mark.beside

EVERYWHERE, AT_HOME, AT_A_CLUSTER = "everywhere", "the lab's namespace", "namespace of a cluster x"
UNINSTALLING = "everywhere, while uninstalling"
TABLE = in_table()


def granted_rights(lab: Lab, account: str, namespace: str) -> set[Right]:
    """By `kubectl auth can-i --list`'s own question."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    command = [*lab.kubectl_command(), "create", "--raw", path, "-f", "-", f"--as=system:serviceaccount:{account}"]
    answer = ask(command, stdin=json.dumps(review))
    assert answer.ok, answer.err
    return rights_of(json.loads(answer.out)["status"]["resourceRules"])


@pytest.fixture
def with_cluster(lab: Lab, namespace: str) -> str:
    """A namespace with all the roles that a PostgresCluster x brings, and nothing else of it."""
    body = cluster_object.defaulted(lab, namespace, "PostgresCluster")
    spec = parse(body)
    given: list[dict[str, Any]] = [
        postgres.member_role(spec),
        postgres.role_binding(spec),
        objects.client_role(spec),
        objects.client_role_binding(spec, LAB_NAMESPACE),
        objects.operator_binding(body, LAB_NAMESPACE),
    ]
    for item in given:
        del item["metadata"]["ownerReferences"]  # there is no such cluster, so they would be collected
    lab.apply(*in_namespace(namespace, *given))
    heard = Right("get", "secrets", "x-application")
    prober = f"{LAB_NAMESPACE}:caplab-prober"
    wait_until(
        "the API server has heard of them", lambda: heard in granted_rights(lab, prober, namespace), within_seconds=10
    )
    return namespace


def test_each_account_may_do_what_the_page_says_and_nothing_more(lab: Lab, with_cluster: str) -> None:
    of_anybody = granted_rights(lab, "nowhere:nobody", "default")
    places = {EVERYWHERE: "default", AT_HOME: LAB_NAMESPACE, AT_A_CLUSTER: with_cluster}
    wrong = []
    for account in sorted({account for account, where in TABLE if where != UNINSTALLING}):
        home = LAB_NAMESPACE if account.startswith("caplab-") else with_cluster
        for where, namespace in places.items():
            written = TABLE.get((account, EVERYWHERE), set()) | TABLE.get((account, where), set())
            granted = granted_rights(lab, f"{home}:{account}", namespace) - of_anybody
            if problem := difference(granted, written):
                wrong.append(f"{account}, {where}:\n{problem}")
    assert not wrong, "\n".join(wrong)


def test_every_account_of_the_lab_is_on_the_page(lab: Lab) -> None:
    accounts = {item["metadata"]["name"] for item in lab.get("serviceaccounts", "-n", LAB_NAMESPACE)["items"]}
    assert accounts - {"default"} <= {account for account, _ in TABLE}


def test_the_uninstall_hook_may_do_what_the_page_says(lab: Lab) -> None:
    values = str(lab.cache.cluster / "values.json")
    shown = ("--show-only", "templates/uninstall.yaml", "--values", values, "--kube-version", "1.34.0")
    answer = ask([lab.tools.helm, "template", RELEASE, str(CHART), *shown])
    assert answer.ok, answer.err
    (role,) = (item for item in yaml.safe_load_all(answer.out) if item and item["kind"] == "ClusterRole")
    assert difference(rights_of(role["rules"]), TABLE["caplab-uninstall", UNINSTALLING]) == ""
