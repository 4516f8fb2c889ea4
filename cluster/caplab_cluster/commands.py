"""The commands that change things, and doctor; status has a module of its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from . import chart, node_image, podman, registry, toolchain, versions
from .failure import Failure
from .images import lab_images
from .images.bases import Bases
from .kind_cluster import (
    CONTEXT,
    CONTROL_PLANE,
    NAME,
    NETWORK,
    NODES,
    READY_SECONDS,
    RESTART_SECONDS,
    KindCluster,
    kubernetes_version,
    next_action,
    refuse_other_minor,
)
from .machine import doctor, host
from .machine.choose import SetupOptions, choose_engine, choose_jars, choose_official, options_from
from .machine.facts import Machine, inspect_machine
from .node_loss.recovery import bring_back
from .node_loss.store import NodeLossStore
from .paths import LAB_IMAGES, Cache
from .progress import Progress
from .setup_context import SetupContext, begin, built_tools
from .toolchain import GoBuilder

_ON_CONTROL_PLANE = ("grafana", "operator", "prometheus", "runner")  # and the engines' exporters


def run_doctor(progress: Progress, cache: Cache) -> None:
    """Show every check of this machine. Raises Failure if one shows that the lab cannot run."""
    _examine(progress, inspect_machine(cache.root), options_from(os.environ))


def _examine(progress: Progress, machine: Machine, options: SetupOptions) -> None:
    checks = doctor.examine(machine, options)
    progress.report(doctor.render(checks))
    doctor.refuse_unfit(checks)


def up(progress: Progress, cache: Cache) -> None:
    """Bring the cluster up with all images in; changes nothing if it is up already."""
    machine, options = inspect_machine(cache.root), options_from(os.environ)
    _examine(progress, machine, options)
    setup = SetupContext(
        progress=progress, cache=cache, machine=machine, options=options, choice=choose_engine(machine, options)
    )
    if setup.choice.install:
        podman.install(progress)
    engine = setup.engine
    host.prepare(progress, setup.machine, engine.name)

    user_files = chart.user_values(os.environ, chart.kept_values(cache))
    if user_files:
        progress.report(f"  values   yours too; `{chart.VALUES_VARIABLE}= make up` returns to the lab's own only")
    builder = GoBuilder(setup.machine, cache)
    source = node_image.choose(engine, builder, setup.options)
    progress.report(f"  images   {source.source}: {source.why}")
    bases = Bases(engine, setup.machine, cache, source.source)
    tools = toolchain.ensure_tools(progress, builder, setup.machine)
    debian = {name: bases.ensure(progress, suite) for name, suite in lab_images.BASES.items()}
    base = debian["debian"]
    image = node_image.ensure(progress, engine, cache, bases, builder, base)
    registry_image = registry.ensure_image(progress, engine, base)
    official = choose_official(source.source, lab_images.OFFICIAL | lab_images.ONLY_PULLED)
    progress.report(f"  Grafana  {chart.grafana_or_why_not(official)}")
    images = lab_images.discover(LAB_IMAGES, debian, official)
    jars = choose_jars(machine.maven)
    progress.report(f"  jars     {jars.source}: {jars.why}")
    lab_images.build(progress, engine, cache, images, debian, jars.maven)

    cluster = KindCluster(engine, cache, tools)
    is_new = _bring_up(progress, cache, cluster, image)
    if left := cluster.raise_cpu_shares():  # each time anew: a weight does not outlive its container's run
        progress.report(f"  note: {', '.join(left)} could not be given more processor time; probers may be late")
    store = registry.ensure_running(engine, cache, NETWORK, registry_image)
    references = lab_images.publish(progress, store, images)
    lab_images.pull_to_nodes(progress, engine, {node: images_of(node, references) for node in NODES})
    if is_new:
        with progress.step("cluster Ready") as step:  # it went on with that while images were sent
            cluster.await_ready(step, READY_SECONDS)
        cluster.note_complete(image)
    chart.ensure(progress, cache, tools, cluster, _note_images(cache, references), user_files)
    progress.report(progress.table())
    progress.report(f"\nThe cluster {NAME} is up. To use it:\n  export KUBECONFIG={cache.kubeconfig}")
    progress.report(
        f"  export PATH={Path(tools.kubectl).parent}:$PATH    # for kubectl, if you have no supported version"
    )


def images_of(node: str, references: Mapping[str, str]) -> list[str]:
    """Return which of the images named by references run on a node: faults leave those of the control plane alone."""
    there = {*_ON_CONTROL_PLANE, *chart.exporter_images()}
    return [reference for name, reference in references.items() if (name in there) == (node == CONTROL_PLANE)]


def _bring_up(progress: Progress, cache: Cache, cluster: KindCluster, image: str) -> bool:
    """Make, start or remake the cluster as needed. Returns True if it is new and may not be Ready yet."""
    _bring_nodes_back(progress, cache)
    containers = cluster.containers()
    action, why = next_action(containers, cluster.record())
    if action in ("none", "start"):
        action, why = _reuse(progress, cluster, action, why)
    if action == "none":
        return False
    if action == "recreate":
        progress.report(f"  the cluster is remade: {why}")
        with progress.step("remove the old cluster"):
            cluster.remove()
    with progress.step("create the cluster") as step:
        cluster.create(step, image)
    return True


def _bring_nodes_back(progress: Progress, cache: Cache) -> None:
    """Bring back the nodes that an experiment took away: a paused one cannot be started."""
    store = NodeLossStore.of(cache)
    for loss in store.live():
        with progress.step(f"bring back {loss.node}"):
            bring_back(store, loss)


def _reuse(progress: Progress, cluster: KindCluster, action: str, why: str) -> tuple[str, str]:
    """Use the existing cluster, or return why it must be remade."""
    if action == "none" and (unresponsive := cluster.unresponsive_nodes()):
        return "recreate", f"{', '.join(unresponsive)} should be running, but is not"
    record = cluster.record()
    if record and record.config != cluster.configuration():
        progress.report("  note: kind-config.yaml has changed since this cluster was made; `make down up` applies it")
    try:
        with progress.step("cluster Ready") as step:
            if action == "start":
                cluster.start(step)
                cluster.await_ready(step, READY_SECONDS)
            elif cluster.problems():
                cluster.await_ready(step, RESTART_SECONDS)
            else:
                step.mark_ready()
    except Failure as failure:
        return "recreate", failure.sentence.rstrip(".")
    refuse_other_minor(kubernetes_version(cluster.kubectl("version", "-o", "json")), versions.KUBERNETES)
    return "none", why


def _note_images(cache: Cache, references: Mapping[str, str]) -> Mapping[str, str]:
    """Record the images for the chart and the tests: {'toolbox': 'caplab-registry:5000/toolbox@sha256:...'}."""
    (cache.cluster / "images.json").write_text(json.dumps(references, indent=1) + "\n")
    return references


def down(progress: Progress, cache: Cache) -> None:
    """Remove the cluster, its registry and its network; caches and images stay."""
    setup = begin(progress, cache)
    if setup.choice.install:
        progress.report("  no container engine, and so no cluster")
        return
    with progress.step(f"remove the cluster {NAME}") as step:
        removed = KindCluster(setup.engine, cache).remove()
        shutil.rmtree(chart.kept_values(cache), ignore_errors=True)
        setup.engine.ask("volume", "rm", "--force", registry.VOLUME)
        if not removed:
            step.mark_ready()
    progress.report("  removed: " + (", ".join(removed) or "nothing; there was no cluster"))


def environment(progress: Progress, cache: Cache) -> None:
    """Print lines for a shell to evaluate: the lab's kubeconfig, context and tools."""
    setup = begin(progress, cache)
    tools = built_tools(setup)
    lines = {
        "KUBECONFIG": str(cache.kubeconfig),
        "CAPLAB_CONTEXT": CONTEXT,
        "CAPLAB_KUBECTL": tools.kubectl,
        "CAPLAB_HELM": tools.helm,
    }
    for name, value in lines.items():
        progress.report(f"export {name}='{value}'")


def clean(progress: Progress, cache: Cache) -> None:
    """Remove the cluster and everything the lab keeps outside the checkout."""
    setup = begin(progress, cache)
    if not setup.choice.install:
        down(progress, cache)
        engine = setup.engine
        with progress.step("remove the lab's images"):
            images = engine.ask("images", "--quiet", "--filter", "reference=localhost/caplab/*").out.split()
            if images:
                engine.ask("rmi", "--force", *sorted(set(images)), timeout_seconds=300)
    with progress.step(f"remove {cache.root}"):
        podman.release_storage(cache)
        lock = cache.lock.name
        for path in cache.root.iterdir():
            if path.name == lock:
                continue
            if path.is_dir():
                node_image.remove_folder(path)
            else:
                path.unlink()
