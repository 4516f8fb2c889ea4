"""Lab images reach the nodes: only what is missing is sent, and shared layers are sent once."""

from __future__ import annotations

import re
import shutil
import stat
import uuid
from pathlib import Path

import pytest
from caplab_cluster import registry
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.images import lab_images
from caplab_cluster.images.lab_images import LabImage
from caplab_cluster.kind_cluster import NETWORK, WORKERS
from caplab_cluster.paths import LAB_IMAGES
from caplab_cluster.progress import Progress
from caplab_cluster.versions import DEBIAN_LAB
from support.kind.kind_lab import Lab, in_namespace, log_folder, toolbox_pod

pytestmark = pytest.mark.beside

NODE = WORKERS[0]


@pytest.fixture
def extra(lab: Lab, tmp_path: Path) -> list[LabImage]:
    """The lab's base as it is, and an image on top of it that nobody has seen."""
    base = f"localhost/caplab/debian:{DEBIAN_LAB}"
    if not lab.engine.has_image(base):
        base = f"docker.io/library/debian:{DEBIAN_LAB}-slim"
    shutil.copytree(LAB_IMAGES / "base", tmp_path / "base")
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "new").write_text(uuid.uuid4().hex)
    (tmp_path / "extra" / "Dockerfile").write_text("ARG FROM_BASE\nFROM ${FROM_BASE}\nCOPY new /new\n")
    images = lab_images.discover(tmp_path, {"debian": base})
    lab_images.build(Progress(log_folder()), lab.engine, lab.cache, images, {"debian": base}, None)
    return images


def the_registry(lab: Lab) -> registry.Registry:
    """As it runs."""
    running = lab.engine.must("inspect", "--format", "{{.Config.Image}}", registry.NAME)
    return registry.ensure_running(lab.engine, lab.cache, NETWORK, running)


def blobs_of_registry(lab: Lab) -> set[str]:
    answer = lab.engine.exec(
        registry.NAME, "find", "/var/lib/docker-registry/docker/registry/v2/blobs", "-name", "data"
    )
    assert answer.ok, answer.err
    return set(answer.out.split())


def blobs_of_node(lab: Lab) -> set[str]:
    answer = lab.engine.exec(NODE, "ctr", "--namespace", "k8s.io", "content", "ls", "-q")
    assert answer.ok, answer.err
    return set(answer.out.split())


def test_a_new_image_sends_its_own_layer_only_and_a_second_time_nothing(lab: Lab, extra: list[LabImage]) -> None:
    store = the_registry(lab)
    assert store.digest("extra", extra[1].tag) == ""

    before = (blobs_of_registry(lab), blobs_of_node(lab))
    first = Progress(log_folder())
    references = lab_images.publish(first, store, extra)
    assert references["base"] == lab.images["base"]
    assert lab_images.missing_on(lab.engine, NODE, list(references.values())) == [references["extra"]]
    lab_images.pull_to_nodes(first, lab.engine, {NODE: list(references.values())})
    assert [record.outcome for record in first.records] == ["done", "done"]
    assert lab_images.missing_on(lab.engine, NODE, list(references.values())) == []
    # A manifest, a configuration and its own layer: the layers below were there, and stay the only ones.
    assert len(blobs_of_registry(lab) - before[0]) == 3
    assert len(blobs_of_node(lab) - before[1]) == 3

    second = Progress(log_folder())
    assert lab_images.publish(second, store, extra) == references
    lab_images.pull_to_nodes(second, lab.engine, {NODE: list(references.values())})
    assert [record.outcome for record in second.records] == ["ready", "ready"]


def test_every_image_is_named_by_its_digest_in_what_the_chart_is_given(lab: Lab) -> None:
    for name, reference in lab.images.items():
        assert re.fullmatch(rf"caplab-registry:5000/{name}@sha256:[0-9a-f]{{64}}", reference)
    pods = lab.get("pods", "-n", NAMESPACE)["items"]
    running = {status["imageID"] for pod in pods for status in pod["status"].get("containerStatuses", ())}
    assert running <= set(lab.images.values())


def test_a_pod_can_read_images_and_send_none(lab: Lab, namespace: str) -> None:
    """Neither without a password nor with a guess; the file that has it is its user's alone."""
    lab.apply(*in_namespace(namespace, toolbox_pod(lab, "a")))
    lab.kubectl("wait", "pod/pod-a", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    (address,) = lab.engine.addresses(registry.NAME)
    asked = [
        ("GET", 5000, "/v2/base/tags/list", ""),
        ("POST", 5000, "/v2/base/blobs/uploads/", ""),
        ("PUT", 5000, "/v2/base/manifests/latest", ""),
        ("DELETE", 5000, "/v2/base/manifests/sha256:" + "0" * 64, ""),
        ("POST", 5001, "/v2/base/blobs/uploads/", ""),
        ("POST", 5001, "/v2/base/blobs/uploads/", "Basic cHVzaDpwdXNo"),
        ("GET", 5001, "/v2/base/tags/list", ""),
    ]
    script = (
        "import http.client\n"
        f"for method, port, path, given in {asked!r}:\n"
        f"    there = http.client.HTTPConnection({address!r}, port, timeout=5)\n"
        "    there.request(method, path, headers={'Authorization': given} if given else {})\n"
        "    print(there.getresponse().status)"
    )
    answer = lab.inside(namespace, "pod-a", "python3", "-c", script)
    assert answer.out.split() == ["200", "405", "405", "405", "401", "401", "401"], answer.err
    store = the_registry(lab)
    assert store.answers()
    assert stat.S_IMODE((store.credentials / "config.json").stat().st_mode) == 0o600
