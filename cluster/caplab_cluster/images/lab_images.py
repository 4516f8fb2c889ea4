"""The lab's images: built from images/NAME/Dockerfile when changed, sent to the nodes when missing.

A Dockerfile names what it is built on by `ARG FROM_X`: FROM_DEBIAN is the slim Debian base,
FROM_DEBIAN_JAVA the one whose Java Cassandra runs on, FROM_<NAME> the image of images/<name>.
A context.toml beside it names what else goes into the build context, in image_context.py. For those in OFFICIAL, the
official image is taken if images are pulled, and the Dockerfile is built if they are built. Those in ONLY_PULLED have
no Dockerfile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .. import versions
from ..digest import digest
from ..engine import ContainerEngine
from ..failure import Failure
from ..machine.facts import Tool
from ..paths import Cache
from ..progress import Progress, Step
from ..registry import HOST, Registry
from . import image_context

BASES = {"debian": versions.DEBIAN_LAB, "debian_java": versions.DEBIAN_JAVA}  # their suites
OFFICIAL = {"prometheus": versions.PROMETHEUS_IMAGE}
ONLY_PULLED = {"grafana": versions.GRAFANA_IMAGE}  # what the lab does without if images are built
_HOSTS_FOLDER = f"/etc/containerd/certs.d/{HOST}"
_HOSTS_FILE = f'server = "http://{HOST}"\n\n[host."http://{HOST}"]\n  capabilities = ["pull", "resolve"]\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class LabImage:
    """One folder of images/; its tag changes with anything it is made from."""

    name: str
    folder: Path
    parents: tuple[str, ...]  # names of Debian bases or of other lab images
    tag: str
    official: str = ""  # the reference that is pulled; '': it is built

    @property
    def local(self) -> str:
        """Its name in the engine's store."""
        return self.official or f"localhost/caplab/{self.name}:{self.tag}"

    def reference(self, digest: str) -> str:
        """Return its name on the nodes and in pod specs: by its digest, so that no other image can take its place."""
        return f"{HOST}/{self.name}@{digest}"


def parents_of(dockerfile: str) -> tuple[str, ...]:
    """Return what a Dockerfile's `ARG FROM_X` lines name, in lower case."""
    return tuple(name.lower() for name in re.findall(r"^ARG FROM_([A-Z0-9_]+)$", dockerfile, re.MULTILINE))


def in_build_order(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names so that each comes after its parents. Raises Failure for an unknown name or a circle."""
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in order:
            return
        if name in path:
            raise Failure(f"Lab images are built on each other: {' -> '.join([*path, name])}.", "Break the cycle.")
        if name not in parents:
            raise Failure(
                f"images/{path[-1]}/Dockerfile is built on FROM_{name.upper()}, but images/{name} does not exist.",
                f"Name an existing image, or add images/{name}/Dockerfile.",
            )
        for parent in sorted(parents[name]):
            if parent not in BASES:
                visit(parent, (*path, name))
        order.append(name)

    for name in sorted(parents):
        visit(name, ())
    return order


def discover(folder: Path, bases: Mapping[str, str], official: Mapping[str, str] | None = None) -> list[LabImage]:
    """Return every lab image in build order; bases refers to BASES, official to images that are pulled."""
    pulled = official or {}
    files = {path.parent.name: path.read_text() for path in sorted(folder.glob("*/Dockerfile"))}
    parents = {name: parents_of(text) for name, text in files.items()}
    images: dict[str, LabImage] = {}
    for name in in_build_order(parents):
        if name in pulled:
            images[name] = LabImage(
                name=name, folder=folder / name, parents=(), tag=digest([], pulled[name]), official=pulled[name]
            )
            continue
        stands_on = [bases[parent] if parent in bases else images[parent].tag for parent in parents[name]]
        tag = digest([folder / name, *image_context.read(folder / name).sources], *stands_on)
        images[name] = LabImage(name=name, folder=folder / name, parents=parents[name], tag=tag)
    for name in sorted(pulled.keys() - parents.keys()):
        images[name] = LabImage(
            name=name, folder=folder / name, parents=(), tag=digest([], pulled[name]), official=pulled[name]
        )
    return list(images.values())


def build(
    progress: Progress,
    engine: ContainerEngine,
    cache: Cache,
    images: Sequence[LabImage],
    bases: Mapping[str, str],
    maven: Tool | None,
) -> None:
    """Build or pull what is not in the engine's store; maven fetches jars on the host, if not None."""
    by_name = {image.name: image for image in images}
    for image in images:
        with progress.step(f"lab image {image.name}") as step:
            if engine.has_image(image.local):
                step.mark_ready()
                continue
            if image.official:
                engine.run(step, "pull", image.official)
                continue
            arguments = {
                f"FROM_{parent.upper()}": bases[parent] if parent in bases else by_name[parent].local
                for parent in image.parents
            }
            with image_context.build_context(step, cache, image.folder, maven) as context:
                engine.build(step, context, image.folder / "Dockerfile", image.local, arguments)


def publish(progress: Progress, registry: Registry, images: Sequence[LabImage]) -> dict[str, str]:
    """Send to the registry what it lacks; returns each image's reference by its name."""
    with progress.step("lab images in the registry") as step:
        missing = [image for image in images if not registry.digest(image.name, image.tag)]
        for image in missing:
            registry.push(step, image.local, image.name, image.tag)
        if not missing:
            step.mark_ready()
        return {image.name: image.reference(_digest(registry, image)) for image in images}


def _digest(registry: Registry, image: LabImage) -> str:
    digest = registry.digest(image.name, image.tag)
    if not digest:
        raise Failure(f"The registry did not keep the image {image.name}.", "Run `make down`, then `make up`.")
    return digest


def missing_on(engine: ContainerEngine, node: str, references: Sequence[str]) -> list[str]:
    """Return the references that a node does not have."""
    answer = engine.exec(node, "ctr", "--namespace", "k8s.io", "images", "ls", "-q")
    there = set(answer.out.split())
    return [reference for reference in references if reference not in there]


def pull_to_nodes(progress: Progress, engine: ContainerEngine, wanted: Mapping[str, Sequence[str]]) -> None:
    """Pull images from the registry to the nodes that want them, by node, at the same time."""
    with progress.step("lab images on the nodes") as step:
        missing = {node: lacks for node, images in wanted.items() if (lacks := missing_on(engine, node, images))}
        if not missing:
            step.mark_ready()
            return
        with ThreadPoolExecutor(len(missing)) as pool:
            list(pool.map(lambda node: _pull(engine, step, node, missing[node]), missing))


def _pull(engine: ContainerEngine, step: Step, node: str, references: Sequence[str]) -> None:
    script = f"mkdir -p {_HOSTS_FOLDER} && cat > {_HOSTS_FOLDER}/hosts.toml"
    engine.exec(node, "sh", "-c", script, stdin=_HOSTS_FILE)
    for reference in references:
        pull = ["ctr", "--namespace", "k8s.io", "images", "pull", "--hosts-dir", "/etc/containerd/certs.d"]
        engine.run(step, "exec", node, *pull, reference)
