"""The commands: up, down, status, doctor, images, environment, clean."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from . import chart, doctor, host, lab_images, node_image, podman, registry, toolchain, usage, versions
from .bases import Bases
from .choose import EngineChoice, Wishes, choose_engine, wishes_from
from .engine import Engine
from .failure import Failure
from .kind_cluster import (
    CONTEXT,
    NAME,
    NETWORK,
    NODES,
    READY_SECONDS,
    RESTART_SECONDS,
    KindCluster,
    kubernetes_version,
    next_move,
    refuse_other_minor,
    show_nodes,
)
from .machine import Machine, look
from .paths import LAB_IMAGES, Cache
from .progress import Progress
from .toolchain import GoBuilder, Tools

_STATUS_SECONDS = 2.0  # how long status watches the processor time


@dataclass(frozen=True, slots=True)
class Session:
    """What every command starts from."""

    progress: Progress
    cache: Cache
    machine: Machine
    wishes: Wishes
    choice: EngineChoice

    @property
    def engine(self) -> Engine:
        """The engine, ready to be called."""
        if self.choice.name == "docker":
            return Engine("docker", self.choice.path, {})
        return podman.engine(self.choice, self.machine, self.cache)


def begin(progress: Progress, cache: Cache) -> Session:
    """Look at the machine and choose the engine."""
    wishes = wishes_from(os.environ)
    machine = look(cache.root)
    return Session(progress, cache, machine, wishes, choose_engine(machine, wishes))


def run_doctor(progress: Progress, cache: Cache) -> None:
    """Every check of this machine; Failure where one says the lab can't run."""
    _examine(progress, look(cache.root), wishes_from(os.environ))


def _examine(progress: Progress, machine: Machine, wishes: Wishes) -> None:
    checks = doctor.examine(machine, wishes)
    progress.say(doctor.render(checks))
    doctor.refuse_unfit(checks)


def up(progress: Progress, cache: Cache) -> None:
    """Bring the cluster up with all images in; changes nothing where it is up already."""
    machine, wishes = look(cache.root), wishes_from(os.environ)
    _examine(progress, machine, wishes)
    session = Session(progress, cache, machine, wishes, choose_engine(machine, wishes))
    if session.choice.install:
        podman.install(progress)
    engine = session.engine
    host.prepare(progress, session.machine, engine.name)

    builder = GoBuilder(session.machine, cache)
    source = node_image.choose(engine, builder, session.wishes)
    progress.say(f"  images   {source.source}: {source.why}")
    bases = Bases(engine, session.machine, cache, source.source)
    tools = toolchain.ensure_tools(progress, builder, session.machine)
    base = bases.ensure(progress, versions.DEBIAN_LAB)
    image = node_image.ensure(progress, engine, cache, bases, builder, base)
    registry_image = registry.ensure_image(progress, engine, base)
    images = lab_images.discover(LAB_IMAGES, base)
    lab_images.build(progress, engine, cache, images, base)

    cluster = KindCluster(engine, cache, tools)
    _bring_up(progress, cluster, image)
    store = registry.ensure_running(engine, NETWORK, registry_image)
    lab_images.send(progress, store, images, NODES)
    chart.ensure(progress, cache, tools, cluster, _note_images(cache, images))
    progress.say(progress.table())
    progress.say(f"\nThe cluster {NAME} is up. To talk to it:\n  export KUBECONFIG={cache.kubeconfig}")
    progress.say(
        f"  export PATH={toolchain.on_path(tools).split(os.pathsep)[0]}:$PATH    # kubectl, if yours is not fit"
    )


def _bring_up(progress: Progress, cluster: KindCluster, image: str) -> None:
    """Make, start or make anew the cluster, as what is there demands."""
    containers = cluster.containers()
    move, why = next_move(containers, cluster.made())
    if move in ("none", "start"):
        move, why = _revive(progress, cluster, move, why)
    if move == "none":
        return
    if move == "recreate":
        progress.say(f"  the cluster is made anew: {why}")
        with progress.step("remove what is left"):
            cluster.remove()
    with progress.step("create the cluster") as step:
        cluster.create(step, image)
    with progress.step("cluster Ready") as step:
        cluster.await_ready(step, READY_SECONDS)
    cluster.note_complete(image)


def _revive(progress: Progress, cluster: KindCluster, move: str, why: str) -> tuple[str, str]:
    """Use the cluster that is there, or say why it must be made anew."""
    if move == "none" and (silent := cluster.silent_nodes()):
        return "recreate", f"{', '.join(silent)} should run, but does not"
    made = cluster.made()
    if made and made.config != cluster.configuration():
        progress.say("  note: kind-config.yaml has changed since this cluster was made; `make down up` applies it")
    try:
        with progress.step("cluster Ready") as step:
            if move == "start":
                cluster.start(step)
                cluster.await_ready(step, READY_SECONDS)
            elif cluster.problems():
                cluster.await_ready(step, RESTART_SECONDS)
            else:
                step.already()
    except Failure as failure:
        return "recreate", failure.sentence.rstrip(".")
    refuse_other_minor(kubernetes_version(cluster.kubectl("version", "-o", "json")), versions.KUBERNETES)
    return "none", why


def _note_images(cache: Cache, images: list[lab_images.LabImage]) -> dict[str, str]:
    """What the chart and the tests ask for: {'toolbox': 'caplab-registry:5000/toolbox:...'}."""
    references = {image.name: image.reference for image in images}
    (cache.cluster / "images.json").write_text(json.dumps(references, indent=1) + "\n")
    return references


def down(progress: Progress, cache: Cache) -> None:
    """Remove the cluster, its registry and its network; caches and images stay."""
    session = begin(progress, cache)
    if session.choice.install:
        progress.say("  there is no container engine, so there is no cluster")
        return
    with progress.step(f"remove the cluster {NAME}") as step:
        removed = KindCluster(session.engine, cache).remove()
        if not removed:
            step.already()
    progress.say("  removed: " + (", ".join(removed) or "nothing, there was no cluster"))


def status(progress: Progress, cache: Cache) -> None:
    """Say what is there: engine, nodes, images, what the nodes take; Failure if it is not up."""
    session = begin(progress, cache)
    progress.say(f"  engine   {session.choice.why}")
    mend = "Run `make up`."
    if session.choice.install:
        raise Failure("There is no container engine yet, and so no cluster.", mend)
    engine = session.engine
    cluster = KindCluster(engine, cache, _built_tools(session))
    containers = cluster.containers()
    if not containers:
        raise Failure(f"There is no cluster {NAME}.", mend)
    for container in sorted(containers, key=lambda c: c.name):
        if container.state != "running":
            progress.say(f"  {container.name:<22} {container.state}")
    answer = cluster.kubectl("get", "nodes", "-o", "json", "--request-timeout=5s")
    if not answer.ok:
        raise Failure(f"The cluster {NAME} is there, but its API server does not answer.", mend)
    show_nodes(progress, json.loads(answer.out))
    _show_images(session, engine)
    _show_usage(session, engine)
    _show_kernel(session, engine)
    if problems := cluster.problems():
        raise Failure(f"The cluster is not as it should be: {'; '.join(problems)}.", mend)


def _built_tools(session: Session) -> Tools:
    """The tools as `make up` chose them, without building any."""
    builder = GoBuilder(session.machine, session.cache)
    paths = {c.name: c.path or str(builder.folder / c.name) for c in toolchain.choose_tools(session.machine)}
    return Tools(paths["kind"], paths["kubectl"], paths["helm"])


def _show_images(session: Session, engine: Engine) -> None:
    try:
        references: dict[str, str] = json.loads((session.cache.cluster / "images.json").read_text())
    except (OSError, ValueError):
        session.progress.say("  images   none sent yet")
        return
    for name, reference in sorted(references.items()):
        session.progress.say(f"  image    {name:<13} {reference}")


def _show_usage(session: Session, engine: Engine) -> None:
    taken = usage.measure(engine, NODES, _STATUS_SECONDS)
    if taken:
        memory = sum(node.memory_bytes for node in taken.values()) / doctor.GIB
        cores = sum(node.cores for node in taken.values())
        session.progress.say(f"  nodes take {memory:.2f} GiB and {cores:.2f} cores (over {_STATUS_SECONDS:g} s)")


def _show_kernel(session: Session, engine: Engine) -> None:
    """Try in a node what faults need of the kernel the nodes run on."""
    tries = {
        "nf_tables (partitions)": "nft add table inet caplab_status",
        "netem (latency)": "tc qdisc add dev lo root netem delay 1ms",
    }
    for name, command in tries.items():
        there = engine.inside(NODES[0], "unshare", "--net", "sh", "-c", command).ok
        session.progress.say(f"  kernel   {name:<24} {'there' if there else 'absent'}")


def environment(progress: Progress, cache: Cache) -> None:
    """Lines for a shell to evaluate: the lab's kubeconfig, context and tools."""
    session = begin(progress, cache)
    tools = _built_tools(session)
    lines = {
        "KUBECONFIG": str(cache.kubeconfig),
        "CAPLAB_CONTEXT": CONTEXT,
        "CAPLAB_KUBECTL": tools.kubectl,
        "CAPLAB_HELM": tools.helm,
    }
    for name, value in lines.items():
        progress.say(f"export {name}='{value}'")


def clean(progress: Progress, cache: Cache) -> None:
    """Remove the cluster and everything the lab keeps outside the checkout."""
    session = begin(progress, cache)
    if not session.choice.install:
        down(progress, cache)
        engine = session.engine
        with progress.step("remove the lab's images"):
            images = engine.ask("images", "--quiet", "--filter", "reference=localhost/caplab/*").out.split()
            if images:
                engine.ask("rmi", "--force", *sorted(set(images)), timeout_seconds=300)
            engine.ask("volume", "rm", "--force", registry.VOLUME)
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
