"""`make status`: what runs, and what it uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .engine import ContainerEngine
from .failure import Failure
from .kind_cluster import NAME, NODES, KindCluster
from .machine import doctor, usage
from .paths import Cache
from .progress import Progress
from .setup_context import SetupContext, begin, built_tools

_STATUS_SECONDS = 2.0  # how long the processor time is measured


def status(progress: Progress, cache: Cache) -> None:
    """Print the status: engine, nodes, images, what the nodes use. Raises Failure if the cluster is not up."""
    setup = begin(progress, cache)
    progress.report(f"  engine   {setup.choice.why}")
    hint = "Run `make up`."
    if setup.choice.install:
        raise Failure("No container engine is installed yet, and so there is no cluster.", hint)
    engine = setup.engine
    cluster = KindCluster(engine, cache, built_tools(setup))
    containers = cluster.containers()
    if not containers:
        raise Failure(f"There is no cluster {NAME}.", hint)
    for container in sorted(containers, key=lambda c: c.name):
        if container.state != "running":
            progress.report(f"  {container.name:<22} {container.state}")
    answer = cluster.kubectl("get", "nodes", "-o", "json", "--request-timeout=5s")
    if not answer.ok:
        raise Failure(f"The cluster {NAME} exists, but its API server does not answer.", hint)
    _show_nodes(progress, json.loads(answer.out))
    _show_images(setup, engine)
    _show_usage(setup, engine)
    _show_kernel(setup, engine)
    if problems := cluster.problems():
        raise Failure(f"The cluster is not healthy: {'; '.join(problems)}.", hint)


def _show_nodes(progress: Progress, nodes: Mapping[str, Any]) -> None:
    """Print a line a node: zone, address, version, readiness."""
    for item in sorted(nodes.get("items", []), key=lambda node: str(node["metadata"]["name"])):
        status = item["status"]
        address = next((a["address"] for a in status["addresses"] if a["type"] == "InternalIP"), "-")
        ready = next((c["status"] for c in status["conditions"] if c["type"] == "Ready"), "Unknown")
        zone = item["metadata"]["labels"].get("topology.kubernetes.io/zone", "-")
        version = status["nodeInfo"]["kubeletVersion"]
        readiness = "Ready" if ready == "True" else "NotReady"
        progress.report(f"  {item['metadata']['name']:<22} zone {zone}  {address:<15} {version}  {readiness}")


def _show_images(setup: SetupContext, engine: ContainerEngine) -> None:
    try:
        references: dict[str, str] = json.loads((setup.cache.cluster / "images.json").read_text())
    except (OSError, ValueError):
        setup.progress.report("  images   none on the nodes yet")
        return
    for name, reference in sorted(references.items()):
        setup.progress.report(f"  image    {name:<13} {reference}")


def _show_usage(setup: SetupContext, engine: ContainerEngine) -> None:
    taken = usage.measure(engine, NODES, _STATUS_SECONDS)
    if taken:
        memory = sum(node.memory_bytes for node in taken.values()) / doctor.GIB
        cores = sum(node.cores for node in taken.values())
        setup.progress.report(f"  nodes use {memory:.2f} GiB and {cores:.2f} cores (over {_STATUS_SECONDS:g} s)")


def _show_kernel(setup: SetupContext, engine: ContainerEngine) -> None:
    """Try in a node what faults need from the kernel the nodes run on."""
    there = engine.exec(NODES[0], "unshare", "--net", "nft", "add", "table", "inet", "caplab_status").ok
    setup.progress.report(f"  kernel   nf_tables (partitions)   {'there' if there else 'absent'}")
