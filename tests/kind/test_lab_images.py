"""Lab images reach the nodes: only what is missing is sent, and shared layers are sent once."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest
from caplab_cluster import lab_images, registry
from caplab_cluster.kind_cluster import NETWORK, WORKERS
from caplab_cluster.lab_images import LabImage
from caplab_cluster.paths import LAB_IMAGES
from caplab_cluster.progress import Progress
from caplab_cluster.versions import DEBIAN_LAB
from kind_lab import Lab, log_folder

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
    assert images[0].reference == lab.images["base"]
    lab_images.build(Progress(log_folder()), lab.engine, lab.cache, images, {"debian": base}, None)
    return images


def blobs_of_registry(lab: Lab) -> set[str]:
    found = lab.engine.inside(
        registry.NAME, "find", "/var/lib/docker-registry/docker/registry/v2/blobs", "-name", "data"
    )
    assert found.ok, found.err
    return set(found.out.split())


def blobs_of_node(lab: Lab) -> set[str]:
    found = lab.engine.inside(NODE, "ctr", "--namespace", "k8s.io", "content", "ls", "-q")
    assert found.ok, found.err
    return set(found.out.split())


def test_a_new_image_sends_its_own_layer_only_and_a_second_time_nothing(lab: Lab, extra: list[LabImage]) -> None:
    running = lab.engine.must("inspect", "--format", "{{.Config.Image}}", registry.NAME)
    store = registry.ensure_running(lab.engine, NETWORK, running)
    assert lab_images.missing_on(lab.engine, NODE, extra) == [extra[1]]

    before = (blobs_of_registry(lab), blobs_of_node(lab))
    first = Progress(log_folder())
    lab_images.send(first, store, {NODE: extra})
    assert first.records[0].outcome == "done"
    assert lab_images.missing_on(lab.engine, NODE, extra) == []
    # A manifest, a configuration and its own layer: the layers below were there, and stay the only ones.
    assert len(blobs_of_registry(lab) - before[0]) == 3
    assert len(blobs_of_node(lab) - before[1]) == 3

    second = Progress(log_folder())
    lab_images.send(second, store, {NODE: extra})
    assert second.records[0].outcome == "ready"
