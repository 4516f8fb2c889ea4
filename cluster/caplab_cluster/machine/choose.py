"""Choices of what to use on a machine: pure functions of its facts and the user's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import versions
from ..failure import Failure
from ..versions import Version
from .facts import DetectedEngine, Machine, Tool

_INSTALL_HINT = "Start Docker, or install podman, or run this as root on Debian, which installs podman."


@dataclass(frozen=True, slots=True)
class SetupOptions:
    """What the user asked for by environment variables; 'auto' leaves it to the lab."""

    engine: str = "auto"  # CAPLAB_ENGINE: auto, docker, podman
    images: str = "auto"  # CAPLAB_IMAGES: auto, pull, build


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The container engine; install: it must be installed first."""

    name: str  # docker, podman
    path: str
    install: bool
    why: str


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """A program: the one at path, or (path None) one that is built from Go modules."""

    name: str
    path: str | None
    why: str


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """The source of images."""

    source: str  # pull, build
    why: str


@dataclass(frozen=True, slots=True)
class JarsChoice:
    """Which Maven fetches jars: the host's, or (None) one within the image's build."""

    maven: Tool | None
    why: str

    @property
    def source(self) -> str:
        """Where jars are fetched: host or build."""
        return "build" if self.maven is None else "host"


def options_from(environment: Mapping[str, str]) -> SetupOptions:
    """Read the options. Raises Failure, which names the variable, if a value is not allowed."""
    allowed = {"CAPLAB_ENGINE": ("auto", "docker", "podman"), "CAPLAB_IMAGES": ("auto", "pull", "build")}
    for name, values in allowed.items():
        if (value := environment.get(name, "auto")) not in values:
            raise Failure(f"{name} is '{value}'.", f"Set {name} to one of: {', '.join(values)}.")
    return SetupOptions(environment.get("CAPLAB_ENGINE", "auto"), environment.get("CAPLAB_IMAGES", "auto"))


def dotted(version: Version | None) -> str:
    """Format a version: (1, 34, 4) is '1.34.4', None is 'of unknown version'."""
    return "of unknown version" if version is None else ".".join(map(str, version))


def choose_engine(machine: Machine, options: SetupOptions) -> EngineChoice:
    """Choose a running Docker, else podman, else podman to be installed. Raises Failure if none can be used."""
    docker_problem = _docker_problem(machine.docker)
    podman_problem = _podman_problem(machine)
    if options.engine != "podman" and machine.docker and not docker_problem:
        return EngineChoice("docker", machine.docker.path, False, f"Docker {dotted(machine.docker.version)} answers")
    if options.engine == "docker":
        raise Failure(
            f"CAPLAB_ENGINE is docker, but {docker_problem}.",
            "Start or upgrade Docker, or unset CAPLAB_ENGINE to use podman instead.",
        )
    why = "set by CAPLAB_ENGINE" if options.engine == "podman" else docker_problem
    if machine.podman and not podman_problem:
        return EngineChoice("podman", machine.podman.path, False, f"podman {dotted(machine.podman.version)}: {why}")
    if machine.podman:
        raise Failure(f"No container engine can be used: {docker_problem}; {podman_problem}.", _INSTALL_HINT)
    if machine.debian and machine.root and machine.system == "Linux":
        return EngineChoice(
            "podman", "/usr/bin/podman", True, f"podman, which will be installed from Debian's packages: {why}"
        )
    lacks = "this is not Debian" if machine.root else "only root can install it"
    raise Failure(
        f"No container engine was found: {docker_problem}, podman is not installed, and {lacks}.",
        _INSTALL_HINT,
    )


def _docker_problem(docker: DetectedEngine | None) -> str:
    if docker is None:
        return "Docker is not installed"
    if docker.version is None:
        return f"no Docker engine answers ({docker.problem})"
    if docker.version < versions.DOCKER_MIN:
        return f"Docker {dotted(docker.version)} is older than {dotted(versions.DOCKER_MIN)}"
    return ""


def _podman_problem(machine: Machine) -> str:
    podman = machine.podman
    if podman is None:
        return "podman is not installed"
    if podman.version is None or podman.version < versions.PODMAN_MIN:
        return f"podman {dotted(podman.version)} is older than {dotted(versions.PODMAN_MIN)}"
    if not machine.root and machine.cgroup != 2:
        return "podman without root needs cgroup v2"
    return ""


def choose_tool(name: str, detected: Tool | None, fit: tuple[Version, Version]) -> ToolChoice:
    """Choose the tool on PATH if its version is in fit (ends included), else one built here."""
    low, high = fit
    if detected is None:
        return ToolChoice(name, None, f"{name} is not on PATH")
    if detected.version is None or not low <= detected.version <= high:
        return ToolChoice(name, None, f"{name} {dotted(detected.version)} on PATH is not a supported version")
    return ToolChoice(name, detected.path, f"{name} {dotted(detected.version)} on PATH")


def choose_source(options: SetupOptions, have_pulled: bool, have_built: bool, answers: bool) -> SourceChoice:
    """Choose to pull or build images: existing ones win, then whether a container registry answers."""
    if options.images != "auto":
        return SourceChoice(options.images, "set by CAPLAB_IMAGES")
    if have_pulled:
        return SourceChoice("pull", "kind's node image is already here")
    if have_built:
        return SourceChoice("build", "the node image that was built here is up to date")
    if answers:
        return SourceChoice("pull", "a container registry answers")
    return SourceChoice("build", "no container registry answers")


def choose_official(source: str, official: Mapping[str, str]) -> Mapping[str, str]:
    """Return the official images to use, by lab image name: all if images are pulled, none if they are built."""
    return official if source == "pull" else {}


def choose_jars(maven: Tool | None) -> JarsChoice:
    """Choose where jars are fetched: by the host's Maven, with its proxies and mirrors, else inside the build."""
    if maven is None:
        return JarsChoice(None, "mvn is not on PATH: the image build installs it")
    return JarsChoice(maven, f"mvn {dotted(maven.version)} on PATH")


def check_can_bootstrap(machine: Machine) -> None:
    """Raise Failure if no Debian base can be made without a container registry."""
    if not (machine.debian and machine.root and machine.system == "Linux"):
        raise Failure(
            "No container registry answers, and only root on Debian can make the images without one.",
            "Check the network and the engine's proxy settings, or run this as root on Debian.",
        )


def podman_settings(machine: Machine, cache: Path, runtime: Path) -> str:
    """Return containers.conf of the lab's own podman: private folders, and what this machine needs.

    Without systemd there are no systemd cgroups. With cgroup v1 it is runc, since crun refuses the hybrid hierarchy.
    With a low hard limit of open files, containers may not ask for more. Podman's own bound of 2,048 processes a
    container is lifted: a node is a container, and its systemd allows a pod 15 % of that, 307, which a Postgres whose
    clients all connect anew can reach; from then on no standby could connect to it.
    """
    limit = machine.open_files_limit
    low = limit is not None and 0 <= limit < 1048576
    containers = f'default_ulimits = ["nofile={limit}:{limit}", "nproc={limit}:{limit}"]' if low else ""
    engine = [
        'events_logger = "file"',
        f'static_dir = "{cache}/libpod"',
        f'volume_path = "{cache}/volumes"',
        f'tmp_dir = "{runtime}/libpod"',
    ]
    if not machine.systemd:
        engine.append('cgroup_manager = "cgroupfs"')
    if machine.cgroup == 1:
        engine.append('runtime = "runc"')
    return "\n".join(
        [
            "[containers]",
            "pids_limit = 0",
            containers,
            "[engine]",
            *engine,
            "[network]",
            'network_backend = "netavark"',
            f'network_config_dir = "{cache}/networks"',
            "",
        ]
    )


def storage_settings(cache: Path, runtime: Path) -> str:
    """Return storage.conf of the lab's own podman."""
    return f'[storage]\ndriver = "overlay"\ngraphroot = "{cache}/storage"\nrunroot = "{runtime}/storage"\n'
