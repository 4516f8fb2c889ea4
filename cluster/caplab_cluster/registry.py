"""The registry beside the nodes: lab images go through it, so shared layers go once."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from .digest import digest
from .engine import Engine
from .failure import Failure
from .paths import REGISTRY_SOURCES
from .progress import Progress, Step

NAME = "caplab-registry"
HOST = f"{NAME}:5000"  # as the nodes call it, and as lab images are named
VOLUME = NAME  # outlives the cluster: what was sent once is not sent again
_MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def image_reference(base: str) -> str:
    """The registry's own image: changes with its sources and its base."""
    return f"localhost/caplab/registry:{digest([REGISTRY_SOURCES], base)}"


def ensure_image(progress: Progress, engine: Engine, base: str) -> str:
    """Build the registry's image if need be; its reference."""
    reference = image_reference(base)
    with progress.step("registry image") as step:
        if engine.has_image(reference):
            step.already()
        else:
            arguments = {"FROM_DEBIAN": base}
            engine.build(step, REGISTRY_SOURCES, REGISTRY_SOURCES / "Dockerfile", reference, arguments)
    return reference


@dataclass(frozen=True, slots=True)
class Registry:
    """The running registry, at a port of the host's loopback that the engine chose."""

    engine: Engine
    port: int

    def has(self, name: str, tag: str) -> bool:
        """Whether an image is in it."""
        return _fetch(f"http://127.0.0.1:{self.port}/v2/{name}/manifests/{tag}", "HEAD")

    def push(self, step: Step, local: str, name: str, tag: str) -> None:
        """Send an image of the engine's store to it; layers it has are not sent."""
        target = f"127.0.0.1:{self.port}/{name}:{tag}"
        if self.engine.name == "podman":
            self.engine.run(step, "push", "--tls-verify=false", local, target)
            return
        self.engine.run(step, "tag", local, target)
        self.engine.run(step, "push", target)
        self.engine.run(step, "rmi", target)


def ensure_running(engine: Engine, network: str, image: str) -> Registry:
    """Start the registry, or find it running; one that does not answer is made anew."""
    found = [c for c in engine.containers(f"name={NAME}") if c.name == NAME]
    if found and found[0].state == "running" and found[0].image == image:
        registry = _answering(engine, within_seconds=3)
        if registry:
            return registry
    engine.remove([container.name for container in found])
    engine.must("run", "--detach", "--name", NAME, "--network", network, "--label", "dev.caplab=registry",
                "--volume", f"{VOLUME}:/var/lib/docker-registry", "--publish", "127.0.0.1::5000", image)  # fmt: skip
    registry = _answering(engine, within_seconds=20)
    if registry is None:
        raise Failure("The registry container does not answer.", "Run `make down`, then `make up`.")
    return registry


def _answering(engine: Engine, within_seconds: float) -> Registry | None:
    end = time.monotonic() + within_seconds
    while time.monotonic() < end:
        port = _port(engine)
        if port and _fetch(f"http://127.0.0.1:{port}/v2/"):
            return Registry(engine, port)
        time.sleep(0.1)
    return None


def _fetch(url: str, method: str = "GET") -> bool:
    request = urllib.request.Request(url, method=method, headers={"Accept": _MANIFEST_TYPES})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback: never by a proxy
    try:
        with opener.open(request, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _port(engine: Engine) -> int | None:
    answer = engine.ask("port", NAME, "5000/tcp")
    tail = answer.out.strip().splitlines()[:1]
    return int(tail[0].rpartition(":")[2]) if answer.ok and tail else None
