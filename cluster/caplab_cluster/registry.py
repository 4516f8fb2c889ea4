"""The registry beside the nodes: lab images go through it, so that shared layers are sent once.

It listens on two ports. On the nodes' network it only serves images. The port that accepts images needs a password,
which is made with the container and kept in the cache.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .digest import digest
from .engine import ContainerEngine
from .failure import Failure
from .paths import REGISTRY_SOURCES, Cache
from .progress import Progress, Step

NAME = "caplab-registry"
HOST = f"{NAME}:5000"  # its name on the nodes, and in the names of lab images
VOLUME = NAME  # goes with `make down`
_WRITE_PORT = "5001/tcp"
_CREDENTIALS = "config.json"
_HINT = "Run `make down`, then `make up`."
_COMPRESSION = "zstd"  # podman's default is gzip, which takes each node a third more processor time to unpack
_MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def image_reference(base: str) -> str:
    """Return the reference of the registry's own image, which changes with its sources and its base."""
    return f"localhost/caplab/registry:{digest([REGISTRY_SOURCES], base)}"


def ensure_image(progress: Progress, engine: ContainerEngine, base: str) -> str:
    """Build the registry's image if need be, and return its reference."""
    reference = image_reference(base)
    with progress.step("registry image") as step:
        if engine.has_image(reference):
            step.mark_ready()
        else:
            arguments = {"FROM_DEBIAN": base}
            engine.build(step, REGISTRY_SOURCES, REGISTRY_SOURCES / "Dockerfile", reference, arguments)
    return reference


@dataclass(frozen=True, slots=True)
class Registry:
    """The running registry; its port for pushes is on the host's loopback, chosen by the engine."""

    engine: ContainerEngine
    port: int
    credentials: Path  # a folder with a config.json as Docker and podman read it

    @property
    def address(self) -> str:
        """Where images are pushed to."""
        return f"127.0.0.1:{self.port}"

    def answers(self) -> bool:
        """Return whether it runs and accepts the password."""
        return self._ask("/v2/") is not None

    def digest(self, name: str, tag: str) -> str:
        """Return the digest of an image that it has ('sha256:...'); '' if it has none."""
        return (self._ask(f"/v2/{name}/manifests/{tag}", "HEAD") or {}).get("Docker-Content-Digest", "")

    def push(self, step: Step, local: str, name: str, tag: str) -> None:
        """Push an image of the engine's store to it; layers it has are not sent."""
        target = f"{self.address}/{name}:{tag}"
        if self.engine.name == "podman":
            authfile = f"--authfile={self.credentials / _CREDENTIALS}"
            flags = ("--tls-verify=false", f"--compression-format={_COMPRESSION}", authfile)
            self.engine.run(step, "push", *flags, local, target)
            return
        self.engine.run(step, "tag", local, target)
        self.engine.run(step, "--config", str(self.credentials), "push", target)
        self.engine.run(step, "rmi", target)

    def set_password(self) -> None:
        """Give the registry a new password, and keep it where this user's processes can read it."""
        password = secrets.token_urlsafe(24)
        answer = self.engine.exec(NAME, "serve", "password", stdin=f"{password}\n")
        if not answer.ok:
            raise Failure(f"The registry does not accept a password: {answer.err.strip()[-300:]}", _HINT)
        entry = {"auth": base64.b64encode(f"push:{password}".encode()).decode()}
        self.credentials.mkdir(parents=True, exist_ok=True)
        file = self.credentials / _CREDENTIALS
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps({"auths": {self.address: entry}}) + "\n")

    def _ask(self, path: str, method: str = "GET") -> Mapping[str, str] | None:
        """Return the headers of a successful answer, else None."""
        headers = {"Accept": _MANIFEST_TYPES, "Authorization": f"Basic {self._password()}"}
        request = urllib.request.Request(f"http://{self.address}{path}", method=method, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback: never by a proxy
        try:
            with opener.open(request, timeout=5) as answer:
                return dict(answer.headers)
        except (urllib.error.URLError, OSError):
            return None

    def _password(self) -> str:
        try:
            stored = json.loads((self.credentials / _CREDENTIALS).read_text())
            return str(stored["auths"][self.address]["auth"])
        except (OSError, ValueError, KeyError):
            return ""


def ensure_running(engine: ContainerEngine, cache: Cache, network: str, image: str) -> Registry:
    """Start the registry, or use the running one; one that does not answer, or not to the password, is remade."""
    containers = [c for c in engine.containers(f"name={NAME}") if c.name == NAME]
    if containers and containers[0].state == "running" and containers[0].image == image:
        registry = _listening(engine, cache, within_seconds=3)
        if registry and registry.answers():
            return registry
    engine.remove([container.name for container in containers])
    engine.must("run", "--detach", "--name", NAME, "--network", network, "--label", "dev.caplab=registry",
                "--volume", f"{VOLUME}:/var/lib/docker-registry", "--publish", f"127.0.0.1::{_WRITE_PORT}",
                image)  # fmt: skip
    registry = _listening(engine, cache, within_seconds=20)
    if registry is None:
        raise Failure("The registry container does not answer.", _HINT)
    registry.set_password()
    if not registry.answers():
        raise Failure("The registry container does not accept its password.", _HINT)
    return registry


def _listening(engine: ContainerEngine, cache: Cache, within_seconds: float) -> Registry | None:
    end = time.monotonic() + within_seconds
    while time.monotonic() < end:
        port = _port(engine)
        if port and _is_open(port):
            return Registry(engine, port, cache.registry)
        time.sleep(0.1)
    return None


def _is_open(port: int) -> bool:
    """Return whether something speaks HTTP there, whatever it answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _port(engine: ContainerEngine) -> int | None:
    answer = engine.ask("port", NAME, _WRITE_PORT)
    tail = answer.out.strip().splitlines()[:1]
    return int(tail[0].rpartition(":")[2]) if answer.ok and tail else None
