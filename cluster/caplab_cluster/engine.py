"""The container engine: the few operations the lab needs, the same for Docker and podman."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .failure import Failure
from .progress import Step
from .shell import CommandResult, ask

KIND_CLUSTER_LABEL = "io.x-k8s.kind.cluster"
_REMOVE_TRIES = 4


@dataclass(frozen=True, slots=True)
class Container:
    """A container, running or not."""

    name: str
    id: str
    state: str  # running, exited, created, paused, dead
    image: str


@dataclass(frozen=True, slots=True)
class ContainerEngine:
    """Docker or podman; env is what every call of it, and kind's, needs."""

    name: str
    path: str
    env: Mapping[str, str]

    def ask(self, *arguments: str, timeout_seconds: float = 30, stdin: str | None = None) -> CommandResult:
        """Run a short command whose answer is wanted."""
        return ask([self.path, *arguments], timeout_seconds, self.env, stdin)

    def must(self, *arguments: str, timeout_seconds: float = 60, stdin: str | None = None) -> str:
        """Run a short command that has to succeed, and return its output. Raises Failure."""
        answer = self.ask(*arguments, timeout_seconds=timeout_seconds, stdin=stdin)
        if not answer.ok:
            raise Failure(
                f"{self.name} {' '.join(arguments[:3])} failed: {(answer.err or answer.out).strip()[-300:]}",
                f"Check that {self.name} works on its own, then try again.",
                tried=(f"{self.path} {' '.join(arguments)}",),
            )
        return answer.out.strip()

    def run(self, step: Step, *arguments: str, cwd: Path | None = None) -> None:
        """Run a long command, shown and logged by the step."""
        step.run([self.path, *arguments], env=self.env, cwd=cwd)

    def has_image(self, reference: str) -> bool:
        """Return whether the image is in the engine's own store."""
        return self.ask("image", "inspect", "--format", "{{.Id}}", reference).ok

    def can_pull(self, reference: str) -> bool:
        """Return whether a container registry answers for the image, without pulling it."""
        return self.ask("manifest", "inspect", reference, timeout_seconds=20).ok

    def build(
        self,
        step: Step,
        context: Path,
        dockerfile: Path,
        tag: str,
        arguments: Mapping[str, str] | None = None,
        target: str = "",
    ) -> None:
        """Build an image from a context folder."""
        flags = [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
        if target:
            flags.append(f"--target={target}")
        self.run(step, "build", "--tag", tag, "--file", str(dockerfile), *flags, str(context))

    def containers(self, *filters: str) -> list[Container]:
        """List the containers that all filters select ('label=...', 'name=...'), stopped ones too."""
        ids = self.must("ps", "--all", "--quiet", *[f"--filter={text}" for text in filters]).split()
        if not ids:
            return []
        form = "{{.Name}}|{{.Id}}|{{.State.Status}}|{{.Config.Image}}"
        # A container may go between the two calls: the rest is returned.
        lines = self.ask("container", "inspect", "--format", form, *ids).out.splitlines()
        rows = [line.removeprefix("/").split("|") for line in lines if line]
        return [Container(name, id_, state, image) for name, id_, state, image in rows]

    def addresses(self, container: str) -> list[str]:
        """Return the container's IPv4 addresses, one a network."""
        text = self.must("inspect", "--format", "{{json .NetworkSettings.Networks}}", container)
        networks = json.loads(text) or {}
        return [network["IPAddress"] for network in networks.values() if network.get("IPAddress")]

    def ensure_network(self, name: str) -> None:
        """Create the cluster's own network if it does not exist."""
        if not self.ask("network", "inspect", name).ok:
            self.must("network", "create", "--driver", "bridge", "--label", "dev.caplab=network", name)

    def remove_network(self, name: str) -> None:
        """Remove a network if it exists."""
        if self.ask("network", "inspect", name).ok:
            self.must("network", "rm", name)

    def remove(self, names: Sequence[str]) -> None:
        """Remove containers and their volumes, whatever their state. Raises Failure if one stays."""
        # Docker kills at once; podman would wait for each to stop.
        at_once = ["--time=0"] if self.name == "podman" else []
        left, refusal = list(names), ""
        # podman only learns from the first attempt that a container's processes died without it.
        for _ in range(_REMOVE_TRIES):
            if not left:
                break
            refusal = self.ask("rm", "--force", "--volumes", *at_once, *left, timeout_seconds=120).err.strip()
            left = [name for name in left if self.ask("container", "inspect", name).ok]
        if left:
            raise Failure(
                f"{self.name} did not remove {', '.join(left)}: {refusal[-300:]}",
                f"Remove them by hand ({self.name} rm --force), then try again.",
            )
        for name in names:
            # podman: kind's volumes are named ones, labelled with the node's name.
            volumes = self.ask("volume", "ls", "--quiet", "--filter", f"label={name}").out.split()
            if volumes:
                self.ask("volume", "rm", "--force", *volumes)

    def set_cpu_shares(self, container: str, cpu_shares: int) -> bool:
        """Weight a running container for when processor time is short (default 1024); False if that fails."""
        return self.ask("update", "--cpu-shares", str(cpu_shares), container).ok

    def exec(
        self, container: str, *command: str, timeout_seconds: float = 60, stdin: str | None = None
    ) -> CommandResult:
        """Run a command in a running container."""
        flags = ["--interactive"] if stdin is not None else []
        return self.ask("exec", *flags, container, *command, timeout_seconds=timeout_seconds, stdin=stdin)


def kind_environment(engine: ContainerEngine, network: str, kubeconfig: Path) -> dict[str, str]:
    """Return the environment kind needs beside its arguments: the engine, the lab's own network and kubeconfig."""
    path = f"{Path(engine.path).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {
        **engine.env,
        "PATH": path,
        "KIND_EXPERIMENTAL_PROVIDER": engine.name,
        f"KIND_EXPERIMENTAL_{engine.name.upper()}_NETWORK": network,
        "KUBECONFIG": str(kubeconfig),
    }
