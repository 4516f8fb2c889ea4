"""The node image: kind's own if it can be pulled, else built from package registries."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from . import versions
from .digest import digest
from .engine import ContainerEngine
from .failure import Failure
from .images.bases import Bases
from .machine.choose import SetupOptions, SourceChoice, choose_source
from .paths import NODE_SOURCES, Cache
from .progress import Progress, Step
from .shell import ask
from .toolchain import KUBERNETES_BINARIES, OTHER_BINARIES, Binary, GoBuilder

_KIND_MODULE = "sigs.k8s.io/kind"
_BUILDER = "caplab-node-builder"
# Names under localhost/ that the node's own manifests use.
_PRELOADED = {"node": "localhost/caplab/nodenet:preloaded",
              "local-path-provisioner": "localhost/caplab/local-path-provisioner:preloaded"}  # fmt: skip


def built_reference(builder: GoBuilder) -> str:
    """Return the name of the built node image, which changes with anything it is made from."""
    inputs = digest([NODE_SOURCES], builder.folder.name, versions.KIND, versions.DEBIAN_NODE, versions.DEBIAN_LAB)
    return f"localhost/caplab/node:v{versions.KUBERNETES}-{inputs}"


def choose(engine: ContainerEngine, builder: GoBuilder, options: SetupOptions) -> SourceChoice:
    """Choose to pull or build: asks the container registry only if nothing is here yet."""
    have_pulled = engine.has_image(versions.NODE_IMAGE)
    have_built = engine.has_image(built_reference(builder))
    here = have_pulled or have_built or options.images != "auto"
    return choose_source(options, have_pulled, have_built, not here and engine.can_pull(versions.NODE_IMAGE))


def ensure(
    progress: Progress, engine: ContainerEngine, cache: Cache, bases: Bases, builder: GoBuilder, lab_base: str
) -> str:
    """Return the node image's reference, pulled or built as bases.source says."""
    if bases.source == "pull":
        with progress.step("node image (pulled)") as step:
            if engine.has_image(versions.NODE_IMAGE):
                step.mark_ready()
            else:
                engine.run(step, "pull", versions.NODE_IMAGE)
        return versions.NODE_IMAGE
    reference = built_reference(builder)
    if engine.has_image(reference):
        with progress.step("node image (built)") as step:
            step.mark_ready()
    else:
        _NodeImage(engine, cache, builder, reference).build(progress, bases, lab_base)
    return reference


@dataclass(frozen=True, slots=True)
class _NodeImage:
    engine: ContainerEngine
    cache: Cache
    builder: GoBuilder
    reference: str

    def build(self, progress: Progress, bases: Bases, lab_base: str) -> None:
        node_base = bases.ensure(progress, versions.DEBIAN_NODE)
        self.builder.ensure(progress, f"build Kubernetes {versions.KUBERNETES} from Go modules", KUBERNETES_BINARIES)
        for binary in OTHER_BINARIES:
            self.builder.ensure(progress, f"build {binary.name}", [binary])
        names = self._kubeadm_images()
        kind_module = self.builder.module_folder(progress, _KIND_MODULE)
        with progress.step("component images") as step:
            self._build_components(step, lab_base, names)
        with progress.step("node base image") as step:
            self._build_base(step, node_base, kind_module, names["pause"])
        with progress.step("node image (images preloaded)") as step:
            self._preload(step, sorted({*names.values(), *_PRELOADED.values()}))

    @property
    def _base(self) -> str:
        return self.reference.replace("/node:", "/node-base:")

    def _kubeadm_images(self) -> dict[str, str]:
        """Return what kubeadm will ask for, by the last part of its name: {'pause': '.../pause:3.10.1'}."""
        kubeadm = str(self.builder.folder / "kubeadm")
        answer = ask([kubeadm, "config", "images", "list", "--kubernetes-version", f"v{versions.KUBERNETES}"])
        names = [line.strip() for line in answer.out.splitlines() if ":" in line]
        images = {name.rpartition(":")[0].rpartition("/")[2]: name for name in names}
        if not answer.ok or "pause" not in images:
            raise Failure("The built kubeadm does not list the images it needs.", "Run `make clean`, then try again.")
        return images

    def _build_components(self, step: Step, lab_base: str, names: dict[str, str]) -> None:
        """Build one image for each target of components.Dockerfile.

        CoreDNS carries the tag that kubeadm asks for, not its own: kubeadm 1.34's own
        version does not compile against its client-go, and a named tag in
        kind-config.yaml would break the pulled node image.
        """
        context = self._context("components", [*KUBERNETES_BINARIES, *OTHER_BINARIES])
        for target in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "coredns", "pause",
                       "local-path-provisioner", "node"):  # fmt: skip
            name = _PRELOADED.get(target) or names[target]
            dockerfile = NODE_SOURCES / "components.Dockerfile"
            self.engine.build(step, context, dockerfile, name, {"FROM_DEBIAN": lab_base}, target)
        self.engine.run(step, "tag", _PRELOADED["node"], names["kube-proxy"])
        shutil.rmtree(context)

    def _build_base(self, step: Step, node_base: str, kind_module: Path, pause: str) -> None:
        context = self._context("node", KUBERNETES_BINARIES[:3], "bin")
        for folder in ("containerd", "manifests"):
            shutil.copytree(NODE_SOURCES / folder, context / folder)
        shutil.copytree(kind_module / "images" / "base" / "files", context / "kind")
        (context / "version").write_text(f"v{versions.KUBERNETES}\n")
        arguments = {"FROM_DEBIAN": node_base, "PAUSE_IMAGE": pause}
        self.engine.build(step, context, NODE_SOURCES / "Dockerfile", self._base, arguments)
        remove_folder(context)

    def _context(self, name: str, binaries: tuple[Binary, ...] | list[Binary], below: str = "") -> Path:
        context = self.cache.contexts / name
        remove_folder(context)
        (context / below).mkdir(parents=True)
        for binary in binaries:
            shutil.copy2(self.builder.folder / binary.name, context / below / binary.name)
        return context

    def _preload(self, step: Step, images: list[str]) -> None:
        """Put the component images into the node's containerd, packed: a node unpacks what it runs."""
        self.engine.remove([c.name for c in self.engine.containers(f"name={_BUILDER}")])
        self.engine.run(step, "run", "--detach", "--privileged", "--name", _BUILDER,
                        "--entrypoint", "containerd", self._base)  # fmt: skip
        try:
            into = (
                f"{self.engine.path} exec --interactive {_BUILDER} ctr --namespace k8s.io images import --no-unpack -"
            )
            kind_of_archive = "--format oci-archive" if self.engine.name == "podman" else ""
            self._await_containerd(step)
            for image in images:
                command = f"set -o pipefail; {self.engine.path} save {kind_of_archive} {image} | {into}"
                step.run(["bash", "-c", command], env=self.engine.env)
            # SIGTERM by name: the image's own stop signal is systemd's.
            self.engine.run(step, "kill", "--signal", "TERM", _BUILDER)
            self.engine.run(step, "wait", _BUILDER)
            entrypoint = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
            self.engine.run(step, "commit", "--change", entrypoint, _BUILDER, self.reference)
        finally:
            self.engine.remove([_BUILDER])

    def _await_containerd(self, step: Step) -> None:
        wait = "for i in $(seq 100); do ctr version >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1"
        self.engine.run(step, "exec", _BUILDER, "bash", "-c", wait)


def remove_folder(folder: Path) -> None:
    """Remove a folder, files of the read-only module cache included."""
    if not folder.exists():
        return
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)
