"""Checks of the chart as helm renders it, for tests that have a helm: those on kind always do."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from caplab_cluster.chart import NAMESPACE, RELEASE, used_images
from caplab_cluster.paths import CHART, DASHBOARDS, REPOSITORY
from caplab_cluster.shell import CommandResult, ask

from caplab import grafana
from caplab.contract.engines import ENGINES
from caplab.contract.names import GROUP, PLURALS, PROBE
from caplab.nightly.arguments import add_arguments
from support.chart.json_schema import problems
from support.chart.rights_table import difference, in_table, rights_of
from support.chart.templates import read_crd

Manifest = Mapping[str, Any]
_SNAKE = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
_OF_MEMBERS = {"caplab-exporter", *(f"caplab-{engine.name}" for engine in ENGINES)}

_STRING = {"type": "string"}
_LABELS = {"type": "object", "additionalProperties": _STRING}


def _object(required: list[str], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": fields, "additionalProperties": False}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


_RELABELINGS = _list(
    _object(
        [],
        sourceLabels=_list(_STRING),
        targetLabel=_STRING,
        regex=_STRING,
        replacement=_STRING,
        action={"enum": ["keep", "drop", "labeldrop", "replace"]},
    )
)
_CREDENTIALS = _object(["name", "key"], name=_STRING, key=_STRING)
# The part of monitoring.coreos.com/v1 that the chart uses; every field exists in those kinds.
POD_MONITOR = _object(
    ["selector", "podMetricsEndpoints", "namespaceSelector"],
    namespaceSelector=_object([], matchNames=_list(_STRING), any={"enum": [True]}),
    selector=_object(["matchLabels"], matchLabels=_LABELS),
    sampleLimit={},
    bodySizeLimit={"type": "string", "pattern": "^[0-9]+MB$"},
    podMetricsEndpoints=_list(
        _object(
            ["port", "path", "interval", "scrapeTimeout", "relabelings"],
            port=_STRING,
            path=_STRING,
            interval=_STRING,
            scrapeTimeout=_STRING,
            params={"type": "object", "additionalProperties": _list(_STRING)},
            authorization=_object(["type", "credentials"], type={"enum": ["Bearer"]}, credentials=_CREDENTIALS),
            followRedirects={"enum": [False]},
            relabelings=_RELABELINGS,
            metricRelabelings=_RELABELINGS,
        )
    ),
)
_RULE = _object(
    ["expr"],
    **{"record": _STRING, "alert": _STRING, "expr": _STRING, "for": _STRING, "labels": _LABELS, "annotations": _LABELS},
)
PROMETHEUS_RULE = _object(
    ["groups"], groups=_list(_object(["name", "rules"], name=_STRING, interval=_STRING, rules=_list(_RULE)))
)


_GRAFANA = ("images.grafana=registry.example/grafana@sha256:0",)
_DASHBOARDS = [("ConfigMap", f"caplab-dashboard-{path.stem}") for path in sorted(DASHBOARDS.glob("*.json"))]


@dataclass(frozen=True)
class Chart:
    """The chart, with a helm to render it."""

    helm: str

    def ask(self, *settings: str, texts: Sequence[str] = (), namespace: str = NAMESPACE) -> CommandResult:
        """Run helm, with every image named; texts are settings that are texts, whatever they look like."""
        images = [f"images.{name}=registry.example/{name}@sha256:0" for name in used_images()]
        flags = [f"--set={setting}" for setting in (*images, *settings)]
        flags += [f"--set-string={setting}" for setting in texts]
        return ask(
            [self.helm, "template", RELEASE, str(CHART), "--namespace", namespace, "--kube-version", "1.34.0", *flags]
        )

    def render(self, *settings: str, texts: Sequence[str] = (), namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        """Return the objects; each kind and name must occur only once."""
        answer = self.ask(*settings, texts=texts, namespace=namespace)
        assert answer.ok, answer.err
        manifests = [document for document in yaml.safe_load_all(answer.out) if document]
        names = [_key(manifest) for manifest in manifests]
        assert len(names) == len(set(names))
        return manifests


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _of_kind(manifests: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def _jobs(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    config = _of_kind(manifests, "ConfigMap")["caplab-prometheus"]["data"]["prometheus.yaml"]
    return {job["job_name"]: job for job in yaml.safe_load(config)["scrape_configs"]}


def prometheus_is_there_and_goes_where_it_is_disabled_and_nothing_else_with_it(chart: Chart) -> None:
    def without_secret(manifests: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
        token = re.compile("caplab-prober")  # random each time
        return {_key(manifest): manifest for manifest in manifests if not token.search(manifest["metadata"]["name"])}

    enabled, disabled = without_secret(chart.render()), without_secret(chart.render("prometheus.enabled=false"))
    assert enabled.keys() - disabled.keys() == {
        ("ServiceAccount", "caplab-prometheus"),
        ("ConfigMap", "caplab-prometheus"),
        ("Service", "caplab-prometheus"),
        ("Service", "caplab-operator"),
        ("Deployment", "caplab-prometheus"),
        ("NetworkPolicy", "caplab-prometheus"),
        ("NetworkPolicy", "caplab-targets"),
    }
    assert {key: enabled[key] for key in disabled} == disabled


def prometheus_holds_no_right_and_no_token_of_an_account(chart: Chart) -> None:
    manifests = chart.render()
    bound = [
        subject["name"]
        for manifest in manifests
        if manifest["kind"].endswith("RoleBinding")
        for subject in manifest["subjects"]
    ]
    assert "caplab-operator" in bound
    assert "caplab-prometheus" not in bound
    pod = _of_kind(manifests, "Deployment")["caplab-prometheus"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert _of_kind(manifests, "ServiceAccount")["caplab-prometheus"]["automountServiceAccountToken"] is False


def prometheus_is_bounded_in_time_size_and_memory(chart: Chart) -> None:
    manifests = chart.render("prometheus.retention=2h", "prometheus.retentionSize=1GB")
    (container,) = _of_kind(manifests, "Deployment")["caplab-prometheus"]["spec"]["template"]["spec"]["containers"]
    assert "--storage.tsdb.retention.time=2h" in container["args"]
    assert "--storage.tsdb.retention.size=1GB" in container["args"]
    assert container["resources"]["limits"]["memory"]
    assert not [argument for argument in container["args"] if "lifecycle" in argument or "admin" in argument]
    assert all(job["sample_limit"] and job["body_size_limit"] for job in _jobs(manifests).values())


def members_are_scraped_where_there_are_exporters(chart: Chart) -> None:
    of_lab = {"caplab-prometheus", "caplab-operator", "caplab-agent", "caplab-prober"}
    assert _jobs(chart.render("exporters.enabled=false")).keys() == of_lab
    assert _jobs(chart.render("exporters.enabled=true")).keys() == of_lab | _OF_MEMBERS


def exporters_are_the_operators_to_make_and_run_their_own_images_only(chart: Chart) -> None:
    def environment(*settings: str) -> dict[str, Any]:
        pod = _of_kind(chart.render(*settings), "Deployment")["caplab-operator"]["spec"]["template"]["spec"]
        return {variable["name"]: variable.get("value") for variable in pod["containers"][0]["env"]}

    enabled, disabled = environment(), environment("exporters.enabled=false")
    assert (enabled.pop("CAPLAB_EXPORTERS"), disabled.pop("CAPLAB_EXPORTERS")) == ("true", "false")
    assert enabled.keys() - disabled.keys() == {engine.exporter_variable for engine in ENGINES if engine.exporter}
    assert disabled.keys() >= {engine.image_variable for engine in ENGINES}
    nameless = ("images.postgres-exporter=", "images.redis-exporter=")
    assert "exporters.enabled to false" in chart.ask(nameless[0]).err
    assert chart.ask("exporters.enabled=false", *nameless).ok


def what_names_the_engines_has_those_of_the_contract(chart: Chart) -> None:
    manifests = chart.render(*_SCHEDULE)
    plurals = {engine.plural for engine in ENGINES}
    for kind, name in (
        ("ClusterRole", "caplab-operator"),
        ("ClusterRole", "caplab-uninstall"),
        ("Role", "caplab-suite"),
    ):
        assert set(_of_kind(manifests, kind)[name]["rules"][0]["resources"]) >= plurals
    crds = _of_kind(manifests, "CustomResourceDefinition")
    for file in (CHART / "templates" / "crds").glob("*.yaml"):
        crd = read_crd(file)
        of_file, rendered = (_without_rules(document["spec"]) for document in (crd, crds[crd["metadata"]["name"]]))
        assert of_file == rendered
    (of_members,) = _of_kind(manifests, "NetworkPolicy")["caplab-prometheus"]["spec"]["egress"][1:]
    assert {port["port"] for port in of_members["ports"]} == {engine.metrics_port for engine in ENGINES}
    probe = yaml.safe_dump(crds[f"{PLURALS[PROBE]}.{GROUP}"])
    assert all((f"a {engine.kind} has no replicas" in probe) != engine.has_primary for engine in ENGINES)


def _without_rules(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_rules(inner) for name, inner in value.items() if name != "x-kubernetes-validations"}
    return [_without_rules(inner) for inner in value] if isinstance(value, list) else value


def another_configuration_takes_another_pod(chart: Chart) -> None:
    def annotations(*settings: str) -> Any:
        deployment = _of_kind(chart.render(*settings), "Deployment")["caplab-prometheus"]
        return deployment["spec"]["template"]["metadata"]["annotations"]

    assert annotations("exporters.enabled=true") != annotations("exporters.enabled=false")
    assert annotations("exporters.enabled=true") == annotations("exporters.enabled=true", "monitors.enabled=true")


def no_monitor_is_there_unasked(chart: Chart) -> None:
    assert not [manifest for manifest in chart.render() if manifest["apiVersion"].startswith("monitoring.coreos.com")]
    labels = [manifest["metadata"].get("labels", {}) for manifest in chart.render()]
    assert not [names for names in labels if "grafana_dashboard" in names]


def monitors_say_the_same_as_the_labs_own_prometheus(chart: Chart) -> None:
    manifests = chart.render("exporters.enabled=true", "monitors.enabled=true", "monitors.labels.release=kps")
    jobs, monitors = _jobs(manifests), _of_kind(manifests, "PodMonitor")
    assert monitors.keys() == jobs.keys() - {"caplab-prometheus"}
    for name, monitor in monitors.items():
        assert problems(monitor["spec"], POD_MONITOR) == []
        assert monitor["metadata"]["labels"] == {"release": "kps"}
        assert monitor["spec"]["bodySizeLimit"] == jobs[name]["body_size_limit"]
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        *relabelings, of_job = list(_snake(endpoint["relabelings"]))
        assert relabelings == jobs[name]["relabel_configs"]
        assert of_job == {"target_label": "job", "replacement": name}
        assert list(_snake(endpoint.get("metricRelabelings", ()))) == jobs[name].get("metric_relabel_configs", [])
        assert endpoint["path"] == jobs[name].get("metrics_path", "/metrics")
        assert endpoint.get("params") == jobs[name].get("params")
        # The token is not sent to a server to which a prober redirects.
        assert ("authorization" in endpoint) == ("authorization" in jobs[name]) == (name == "caplab-prober")
        assert endpoint.get("followRedirects") == jobs[name].get("follow_redirects")
        assert jobs[name].get("follow_redirects", True) != ("authorization" in jobs[name])


def _snake(relabelings: Any) -> Iterator[dict[str, Any]]:
    for relabeling in relabelings:
        yield {_SNAKE.get(name, name): value for name, value in relabeling.items()}


def the_prometheus_rule_has_the_labs_own_rules(chart: Chart) -> None:
    rule = _of_kind(chart.render("monitors.enabled=true"), "PrometheusRule")["caplab"]
    assert problems(rule["spec"], PROMETHEUS_RULE) == []
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())


def grafana_is_there_where_it_is_asked_for_and_nothing_else_with_it(chart: Chart) -> None:
    def keys(*settings: str) -> set[tuple[str, str]]:
        return {_key(manifest) for manifest in chart.render(*settings)}

    own = {
        (kind, "caplab-grafana") for kind in ("ServiceAccount", "ConfigMap", "Service", "NetworkPolicy", "Deployment")
    }
    assert keys("grafana.enabled=true", *_GRAFANA) - keys() == own | set(_DASHBOARDS)
    assert keys("dashboardConfigMaps.enabled=true") - keys() == set(_DASHBOARDS)


def dashboards_are_labelled_for_a_grafana_that_collects_them_only_where_that_is_asked_for(chart: Chart) -> None:
    for settings, labels in (
        (("dashboardConfigMaps.enabled=true",), {"grafana_dashboard": "1"}),
        (("grafana.enabled=true", *_GRAFANA), {}),
    ):
        maps = _of_kind(chart.render(*settings), "ConfigMap")
        for _, name in _DASHBOARDS:
            file = f"{name.removeprefix('caplab-dashboard-')}.json"
            assert maps[name]["metadata"].get("labels", {}) == labels
            assert maps[name]["data"] == {file: (DASHBOARDS / file).read_text()}


def grafana_finds_its_dashboards_and_the_labs_prometheus(chart: Chart) -> None:
    manifests = chart.render("grafana.enabled=true", *_GRAFANA)
    data = _of_kind(manifests, "ConfigMap")["caplab-grafana"]["data"]
    (source,) = yaml.safe_load(data["datasources.yaml"])["datasources"]
    (provider,) = yaml.safe_load(data["providers.yaml"])["providers"]
    assert source["url"] == "http://caplab-prometheus:9090"
    assert (source["type"], source["jsonData"]["timeInterval"], source["editable"]) == ("prometheus", "1s", False)
    assert _of_kind(manifests, "Service")["caplab-prometheus"]["spec"]["ports"][0]["port"] == 9090
    pod = _grafana_pod(manifests)
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["dashboards"] == provider["options"]["path"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    projected = [source["configMap"]["name"] for source in volumes["dashboards"]["projected"]["sources"]]
    assert projected == [name for _, name in _DASHBOARDS]
    assert {item["path"] for item in volumes["provisioning"]["configMap"]["items"]} == {
        "datasources/caplab.yaml",
        "dashboards/caplab.yaml",
    }


def nobody_reaches_grafana_but_by_a_port_forward_and_it_can_do_nothing(chart: Chart) -> None:
    manifests = chart.render("grafana.enabled=true", *_GRAFANA)
    pod = _grafana_pod(manifests)
    (container,) = pod["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert not {"ports", "readinessProbe", "livenessProbe"} & container.keys()
    assert pod["automountServiceAccountToken"] is False
    assert container["resources"]["limits"]["memory"]
    assert _of_kind(manifests, "Service")[grafana.SERVICE]["spec"].get("type", "ClusterIP") == "ClusterIP"
    policy = _of_kind(manifests, "NetworkPolicy")["caplab-grafana"]["spec"]
    assert "ingress" not in policy
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}


def the_same_dashboards_keep_the_same_grafana(chart: Chart) -> None:
    deployments = [_of_kind(chart.render("grafana.enabled=true", *_GRAFANA), "Deployment") for _ in range(2)]
    assert deployments[0]["caplab-grafana"] == deployments[1]["caplab-grafana"]
    assert _of_kind(chart.render(), "Deployment")["caplab-prometheus"] == deployments[0]["caplab-prometheus"]


def _grafana_pod(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    pod: dict[str, Any] = _of_kind(manifests, "Deployment")["caplab-grafana"]["spec"]["template"]["spec"]
    return pod


_SCHEDULE = ("schedule.enabled=true",)
_NIGHTLY = REPOSITORY / "docs" / "nightly.md"


def a_schedule_is_there_where_it_is_asked_for_and_nothing_else_with_it(chart: Chart) -> None:
    def keys(*settings: str) -> set[tuple[str, str]]:
        return {_key(manifest) for manifest in chart.render(*settings)}

    rights = {
        (kind, name)
        for kind, name in (
            ("Role", "caplab-suite"), ("RoleBinding", "caplab-suite"), ("Role", "caplab-runner"),
            ("RoleBinding", "caplab-runner"), ("ClusterRole", "caplab-runner"), ("ClusterRoleBinding", "caplab-runner"),
        )
    }  # fmt: skip
    runner = {("Namespace", "caplab-nightly"), ("ServiceAccount", "caplab-runner"), ("CronJob", "caplab-nightly")}
    volume = {("PersistentVolumeClaim", "caplab-results")}
    page = {("ServiceAccount", "caplab-results"), ("Deployment", "caplab-results")}
    egress = {("NetworkPolicy", "caplab-runner")}
    assert keys(*_SCHEDULE) - keys() == rights | runner | volume | page
    assert keys(*_SCHEDULE, "schedule.page.enabled=false") - keys() == rights | runner | volume
    assert keys(*_SCHEDULE, "schedule.volume.claim=mine") - keys() == rights | runner | page
    assert keys(*_SCHEDULE, "schedule.bucket.url=s3://b/p") - keys() == rights | runner | page | egress
    assert keys(*_SCHEDULE, "schedule.notify.webhookSecret=w") - keys() == rights | runner | page | egress | volume


def the_runner_may_do_what_the_page_says_and_no_more(chart: Chart) -> None:
    manifests = chart.render(*_SCHEDULE)
    written = in_table(_NIGHTLY.read_text())
    for kind, name, where in (
        ("ClusterRole", "caplab-runner", "everywhere"),
        ("Role", "caplab-runner", "the lab's namespace"),
        ("Role", "caplab-suite", "the runs' namespace"),
    ):
        assert difference(rights_of(_of_kind(manifests, kind)[name]["rules"]), written["caplab-runner", where]) == ""
    bound = [
        subject["name"]
        for manifest in manifests
        if manifest["kind"].endswith("RoleBinding")
        for subject in manifest["subjects"]
    ]
    assert "caplab-results" not in bound


def nights_never_overlap_and_always_end(chart: Chart) -> None:
    cron = _of_kind(chart.render(*_SCHEDULE, "schedule.minutes=90"), "CronJob")["caplab-nightly"]["spec"]
    assert (cron["concurrencyPolicy"], cron["startingDeadlineSeconds"]) == ("Forbid", 3600)
    assert (cron["successfulJobsHistoryLimit"], cron["failedJobsHistoryLimit"]) == (3, 5)
    assert int(cron["schedule"].split()[0]) % 15 != 0
    job = cron["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] == 90 * 60 + 3600
    assert job["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [1, 2, 3]  # it ended itself: no second pod
    assert job["backoffLimit"] == 1  # it was killed: a second pod, which cleans up
    assert "--minutes=90" in _runner(cron)["args"]


def the_runner_is_given_what_it_takes(chart: Chart) -> None:
    """Check that `caplab nightly run` knows the arguments that the chart writes, and takes them as meant."""
    values = ("schedule.accept=true", "schedule.notify.always=true", "schedule.bucket.url=s3://b/p",
              "schedule.repeat=3", "schedule.settings.rate=a=b c", "schedule.keep.megabytes=100000")  # fmt: skip
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    plain, whole = (
        parser.parse_args(
            _runner(_of_kind(chart.render(*_SCHEDULE, *more), "CronJob")["caplab-nightly"]["spec"])["args"][1:]
        )
        for more in ((), values)
    )
    assert (plain.suite, plain.accept, plain.tell_always, plain.bucket) == ("core", False, False, "")
    assert (whole.accept, whole.tell_always, whole.bucket, whole.repeat) == (True, True, "s3://b/p", 3)
    assert (whole.settings, whole.keep_megabytes) == ([("rate", "a=b c")], 100_000)


def the_runner_is_restricted_and_knows_no_secret_but_those_it_is_given(chart: Chart) -> None:
    given = ("schedule.bucket.url=s3://b/p", "schedule.bucket.secret=keys", "schedule.bucket.endpoint=https://m:9000",
             "schedule.notify.webhookSecret=hook", "schedule.settings.rate=ten")  # fmt: skip
    manifests = chart.render(*_SCHEDULE, *given)
    cron = _of_kind(manifests, "CronJob")["caplab-nightly"]["spec"]
    pods = [cron["jobTemplate"]["spec"]["template"]["spec"], _results_page(manifests)]
    for pod in pods:
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["resources"]["limits"]["memory"]
    assert [_secrets(pod) for pod in pods] == [{"keys", "hook"}, {"keys"}]
    assert _secrets(_results_page(chart.render(*_SCHEDULE, *given, "schedule.page.secret=readonly"))) == {"readonly"}
    assert {"--set=rate=ten", "--bucket=s3://b/p"} <= set(_runner(cron)["args"])
    assert pods[1]["automountServiceAccountToken"] is False
    assert not [argument for argument in pods[1]["containers"][0]["args"] if argument.startswith("--host")]
    assert _results_page(chart.render(*_SCHEDULE))["volumes"][0]["persistentVolumeClaim"] == {
        "claimName": "caplab-results",
        "readOnly": True,
    }


def _results_page(rendered: list[dict[str, Any]]) -> Mapping[str, Any]:
    pod: Mapping[str, Any] = _of_kind(rendered, "Deployment")["caplab-results"]["spec"]["template"]["spec"]
    return pod


def _secrets(pod: Mapping[str, Any]) -> set[str]:
    """Return the secrets from which a pod's container takes its environment."""
    env = pod["containers"][0]["env"]
    return {variable["valueFrom"]["secretKeyRef"]["name"] for variable in env if "secretKeyRef" in str(variable)}


def results_outlive_the_release(chart: Chart) -> None:
    claim = _of_kind(chart.render(*_SCHEDULE), "PersistentVolumeClaim")["caplab-results"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def names_that_yaml_takes_for_something_else_stay_names(chart: Chart) -> None:
    settings = {
        "schedule.namespace": "123", "schedule.volume.storageClass": "true", "schedule.notify.webhookSecret": "null",
        "schedule.timeZone": "12", "images.agent": "1e3", "images.operator": "0x1f", "images.runner": "4e5",
        "images.prober": "77", "zones[0]": "5e1", "zones[1]": "12", "zones[2]": "off",
    }  # fmt: skip
    texts = [f"{name}={value}" for name, value in settings.items()]
    rendered = {value for manifest in chart.render(*_SCHEDULE, texts=texts) for value in _scalars(manifest)}
    assert rendered >= set(settings.values())
    elsewhere = ["schedule.volume.claim=123", "schedule.bucket.secret=456"]
    assert "'claimName': '123'" in str(chart.render(*_SCHEDULE, texts=elsewhere))
    assert "456" in _secrets(_results_page(chart.render(*_SCHEDULE, "schedule.bucket.url=s3://b/p", texts=elsewhere)))
    everything = ["monitors.enabled=true", "dashboardConfigMaps.enabled=true", "grafana.enabled=true", *_GRAFANA]
    in_release = chart.render(*everything, namespace="1234")
    assert {manifest["metadata"].get("namespace", "1234") for manifest in in_release} == {"1234"}


def a_value_adds_no_field_to_an_object(chart: Chart) -> None:
    manifests = chart.render(*_SCHEDULE, texts=["schedule.volume.storageClass=a\n  volumeName: other"])
    assert "volumeName" not in _of_kind(manifests, "PersistentVolumeClaim")["caplab-results"]["spec"]


def _scalars(value: Any) -> Iterator[str]:
    """Return all texts within a value; what YAML reads as a number or a boolean is not a text."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _scalars(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _scalars(inner)
    elif isinstance(value, str):
        yield value


def _runner(cron: Mapping[str, Any]) -> Mapping[str, Any]:
    containers: list[Mapping[str, Any]] = cron["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (container,) = containers
    return container


# Settings that people use together; each is rendered, and on kind the API server checks it.
COMBINATIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("prometheus.enabled=false", "exporters.enabled=false"),
    ("grafana.enabled=true", *_GRAFANA),
    ("dashboardConfigMaps.enabled=true",),
    _SCHEDULE,
    (*_SCHEDULE, "schedule.suspend=true", "schedule.suite=redis/control", "schedule.settings.persistence=everysec"),
    (*_SCHEDULE, "schedule.accept=true", "schedule.repeat=5", "schedule.minutes=240"),
    (*_SCHEDULE, "schedule.volume.claim=mine", "schedule.page.enabled=false", "schedule.failOn=none"),
    (*_SCHEDULE, "schedule.volume.storageClass=standard", "schedule.history.failed=0", "schedule.timeZone=Etc/GMT+1"),
    (*_SCHEDULE, "schedule.bucket.url=s3://b/p", "schedule.bucket.secret=keys", "schedule.bucket.endpoint=http://m:9000",
     "schedule.page.secret=readonly"),
    (*_SCHEDULE, "schedule.notify.webhookSecret=hook", "schedule.notify.alertmanager=http://am:9093",
     "schedule.notify.always=true", "prometheus.enabled=false"),
)  # fmt: skip


def every_combination_is_rendered(chart: Chart) -> None:
    for settings in COMBINATIONS:
        assert chart.render(*settings)


def a_value_that_cannot_be_is_refused(chart: Chart) -> None:
    for setting, says in (
        ("prometheus.retention=6", "retention"),
        ("prometheus.retentionSize=lots", "retentionSize"),
        ("prometheus.enable=true", "enable"),
        ("images.prometheus=", "prometheus"),
        ("monitors.labels.a=1", "labels"),
        ("grafana.enabled=true", "images.grafana"),
        ("grafana.enable=true", "enable"),
        ("grafana.enabled=true,images.grafana=g,prometheus.enabled=false", "prometheus.enabled=true"),
        ("schedule.enabled=true,images.runner=", "images.runner"),
        ("schedule.enabled=true,schedule.namespace=caplab-system", "schedule.namespace"),
        ("schedule.cron=daily", "cron"),
        ("schedule.failOn=everything", "failOn"),
        ("schedule.bucket.url=http://b", "url"),
        ("schedule.keep.days=0", "days"),
        ("schedule.suite=../x", "suite"),
        ("schedule.minute=1", "minute"),
    ):
        answer = chart.ask(setting)
        assert not answer.ok, setting
        assert says in answer.err


CHECKS: tuple[Callable[[Chart], None], ...] = (
    prometheus_is_there_and_goes_where_it_is_disabled_and_nothing_else_with_it,
    prometheus_holds_no_right_and_no_token_of_an_account,
    prometheus_is_bounded_in_time_size_and_memory,
    members_are_scraped_where_there_are_exporters,
    exporters_are_the_operators_to_make_and_run_their_own_images_only,
    what_names_the_engines_has_those_of_the_contract,
    another_configuration_takes_another_pod,
    no_monitor_is_there_unasked,
    monitors_say_the_same_as_the_labs_own_prometheus,
    the_prometheus_rule_has_the_labs_own_rules,
    grafana_is_there_where_it_is_asked_for_and_nothing_else_with_it,
    dashboards_are_labelled_for_a_grafana_that_collects_them_only_where_that_is_asked_for,
    grafana_finds_its_dashboards_and_the_labs_prometheus,
    nobody_reaches_grafana_but_by_a_port_forward_and_it_can_do_nothing,
    the_same_dashboards_keep_the_same_grafana,
    a_schedule_is_there_where_it_is_asked_for_and_nothing_else_with_it,
    the_runner_may_do_what_the_page_says_and_no_more,
    nights_never_overlap_and_always_end,
    the_runner_is_given_what_it_takes,
    the_runner_is_restricted_and_knows_no_secret_but_those_it_is_given,
    results_outlive_the_release,
    names_that_yaml_takes_for_something_else_stay_names,
    a_value_adds_no_field_to_an_object,
    every_combination_is_rendered,
    a_value_that_cannot_be_is_refused,
)
