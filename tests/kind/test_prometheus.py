"""The lab's own Prometheus on the real cluster: every part is heard, it comes and goes with its value."""

from __future__ import annotations

from collections import Counter

import pytest
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import ZONES
from support.chart.rule_checks import alerts
from support.kind.kind_lab import Lab, wait_until
from support.kind.lab_prometheus import ask
from support.kind.lab_release import upgrade

pytestmark = pytest.mark.alone
WITH_IT = "serviceaccount,configmap,service,deployment,networkpolicy"
OF_THE_LAB = {
    "caplab-prometheus": 1,
    "caplab-operator": 1,
    "caplab-agent": len(ZONES),
    "caplab-prober": len(ZONES),
}


def up(lab: Lab) -> Counter[str]:
    """The targets that are up, by job."""
    targets = ask(lab, "targets", state="active")["activeTargets"]
    return Counter(target["labels"]["job"] for target in targets if target["health"] == "up")


def all_of_the_lab_are_up(lab: Lab) -> bool:
    return OF_THE_LAB.items() <= up(lab).items()


def test_every_part_of_the_lab_is_scraped_and_every_rule_is_well(lab: Lab) -> None:
    wait_until("all targets of the lab are up", lambda: all_of_the_lab_are_up(lab), within_seconds=30)
    rules = [rule for group in ask(lab, "rules")["groups"] for rule in group["rules"]]
    assert alerts().keys() <= {rule["name"] for rule in rules}
    assert {rule["health"] for rule in rules} == {"ok"}, [rule for rule in rules if rule["health"] != "ok"]
    series = ask(lab, "query", query="caplab_agent_oldest_poll_seconds")["result"]
    assert len({sample["metric"]["instance"] for sample in series}) == len(ZONES)


def test_its_pod_would_be_let_in_by_the_restricted_profile(lab: Lab) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    answer = lab.cluster.kubectl("label", "namespace", NAMESPACE, "--dry-run=server", "--overwrite", label)
    assert "caplab-agent" in answer.err  # as it must: so that this would tell
    assert "caplab-prometheus" not in answer.err


def test_an_upgrade_takes_it_away_and_adds_it_to_a_running_lab(lab: Lab) -> None:
    def there() -> str:
        names = lab.kubectl("get", WITH_IT, "-n", NAMESPACE, "-o", "name")
        return " ".join(line for line in names.splitlines() if "prometheus" in line or "targets" in line)

    operator = lab.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=caplab-operator")["items"]
    try:
        upgrade(lab, "prometheus.enabled=false")
        assert there() == ""
        pods = ("get", "pods", "-n", NAMESPACE, "-o", "name")
        wait_until("its pod is gone", lambda: "prometheus" not in lab.kubectl(*pods), within_seconds=20)
    finally:
        upgrade(lab)
    assert "deployment.apps/caplab-prometheus" in there()
    wait_until("all targets of the lab are up", lambda: all_of_the_lab_are_up(lab), within_seconds=30)
    same = lab.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=caplab-operator")["items"]
    assert [pod["metadata"]["uid"] for pod in same] == [pod["metadata"]["uid"] for pod in operator]
