from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from caplab_cluster import versions
from caplab_cluster.failure import Failure
from caplab_cluster.machine.choose import (
    SetupOptions,
    check_can_bootstrap,
    choose_engine,
    choose_jars,
    choose_official,
    choose_source,
    choose_tool,
    options_from,
    podman_settings,
    storage_settings,
)
from caplab_cluster.machine.facts import DetectedEngine, Machine, Tool, parse_version
from support.cluster.machines import BARE_DEBIAN, DOCKER_LAPTOP

DOCKER = DetectedEngine("/usr/bin/docker", (28, 2, 2))
SILENT_DOCKER = DetectedEngine("/usr/bin/docker", None, "Cannot connect")
OLD_DOCKER = DetectedEngine("/usr/bin/docker", (19, 3, 0))
PODMAN = DetectedEngine("/usr/bin/podman", (4, 3, 1))
OLD_PODMAN = DetectedEngine("/usr/bin/podman", (3, 4, 0))
AUTO, WANT_DOCKER, WANT_PODMAN = SetupOptions(), SetupOptions(engine="docker"), SetupOptions(engine="podman")


@pytest.mark.parametrize(
    ("docker", "podman", "options", "expected"),
    [
        (DOCKER, None, AUTO, ("docker", False)),
        (DOCKER, PODMAN, AUTO, ("docker", False)),
        (DOCKER, PODMAN, WANT_PODMAN, ("podman", False)),
        (DOCKER, None, WANT_PODMAN, ("podman", True)),
        (SILENT_DOCKER, PODMAN, AUTO, ("podman", False)),
        (OLD_DOCKER, PODMAN, AUTO, ("podman", False)),
        (None, PODMAN, AUTO, ("podman", False)),
        (SILENT_DOCKER, None, AUTO, ("podman", True)),
        (None, None, AUTO, ("podman", True)),
    ],
)
def test_the_engine_is_docker_then_podman_then_podman_installed(
    docker: DetectedEngine | None, podman: DetectedEngine | None, options: SetupOptions, expected: tuple[str, bool]
) -> None:
    choice = choose_engine(replace(BARE_DEBIAN, docker=docker, podman=podman), options)
    assert (choice.name, choice.install) == expected
    assert choice.why


@pytest.mark.parametrize(
    ("machine", "options", "says"),
    [
        (replace(BARE_DEBIAN, docker=OLD_DOCKER), WANT_DOCKER, "Docker 19.3.0 is older than 20.10.0"),
        (replace(BARE_DEBIAN, docker=SILENT_DOCKER), WANT_DOCKER, "no Docker engine answers"),
        (BARE_DEBIAN, WANT_DOCKER, "Docker is not installed"),
        (replace(BARE_DEBIAN, podman=OLD_PODMAN), AUTO, "podman 3.4.0 is older than 4.0.0"),
        (replace(BARE_DEBIAN, podman=PODMAN, root=False), AUTO, "podman without root needs cgroup v2"),
        (replace(BARE_DEBIAN, root=False), AUTO, "only root can install it"),
        (replace(BARE_DEBIAN, debian=False), AUTO, "this is not Debian"),
        (replace(DOCKER_LAPTOP, docker=None), AUTO, "Docker is not installed"),
    ],
)
def test_where_no_engine_can_be_used_one_sentence_says_why(machine: Machine, options: SetupOptions, says: str) -> None:
    with pytest.raises(Failure) as failed:
        choose_engine(machine, options)
    assert says in failed.value.sentence
    assert failed.value.hint


def test_podman_without_root_is_used_on_cgroup_v2() -> None:
    machine = replace(BARE_DEBIAN, podman=PODMAN, root=False, cgroup=2)
    assert choose_engine(machine, AUTO).name == "podman"


@pytest.mark.parametrize(
    ("name", "detected", "used"),
    [
        ("kind", None, False),
        ("kind", Tool("/k", (0, 29, 9)), False),
        ("kind", Tool("/k", (0, 30, 0)), True),
        ("kind", Tool("/k", (0, 33, 2)), True),
        ("kind", Tool("/k", (0, 34, 0)), False),
        ("kubectl", Tool("/k", (1, 32, 4)), False),
        ("kubectl", Tool("/k", (1, 33, 0)), True),
        ("kubectl", Tool("/k", (1, 36, 0)), False),
        ("helm", Tool("/k", (4, 0, 0)), False),
        ("helm", Tool("/k", (3, 19, 0)), True),
        ("go", Tool("/k", (1, 23, 9)), False),
        ("go", Tool("/k", (1, 26, 8)), True),
        ("go", Tool("/k", None), False),
    ],
)
def test_a_tool_on_path_is_used_when_its_version_is_fit(name: str, detected: Tool | None, used: bool) -> None:
    fit = {
        "kind": versions.KIND_FIT,
        "kubectl": versions.KUBECTL_FIT,
        "helm": versions.HELM_FIT,
        "go": versions.GO_FIT,
    }[name]
    choice = choose_tool(name, detected, fit)
    assert (choice.path is not None) == used
    assert name in choice.why


@pytest.mark.parametrize(
    ("options", "pulled", "built", "answers", "expected"),
    [
        (SetupOptions(), False, False, True, "pull"),
        (SetupOptions(), False, False, False, "build"),
        (SetupOptions(), False, True, True, "build"),
        (SetupOptions(), True, True, False, "pull"),
        (SetupOptions(images="build"), True, False, True, "build"),
        (SetupOptions(images="pull"), False, True, False, "pull"),
    ],
)
def test_images_come_from_what_is_here_then_from_a_registry_that_answers(
    options: SetupOptions, pulled: bool, built: bool, answers: bool, expected: str
) -> None:
    choice = choose_source(options, pulled, built, answers)
    assert choice.source == expected
    assert choice.why


def test_an_option_that_is_none_of_the_allowed_is_named_with_its_hint() -> None:
    with pytest.raises(Failure, match="CAPLAB_ENGINE is 'dokcer'") as failed:
        options_from({"CAPLAB_ENGINE": "dokcer"})
    assert "auto, docker, podman" in failed.value.hint
    assert options_from({}) == SetupOptions()


@pytest.mark.parametrize("lacking", [{"root": False}, {"debian": False}, {"system": "Darwin"}])
def test_a_base_is_bootstrapped_only_by_root_on_debian(lacking: dict[str, object]) -> None:
    check_can_bootstrap(BARE_DEBIAN)
    with pytest.raises(Failure, match="No container registry answers"):
        check_can_bootstrap(replace(BARE_DEBIAN, **lacking))  # type: ignore[arg-type]


def test_podman_is_set_up_for_a_host_without_systemd_and_with_cgroup_v1() -> None:
    text = podman_settings(BARE_DEBIAN, Path("/c"), Path("/r"))
    assert 'cgroup_manager = "cgroupfs"' in text
    assert 'runtime = "runc"' in text
    assert '"nofile=20000:20000"' in text


def test_podman_keeps_its_defaults_where_the_host_needs_nothing_else() -> None:
    machine = replace(BARE_DEBIAN, systemd=True, cgroup=2, open_files_limit=1048576)
    text = podman_settings(machine, Path("/c"), Path("/r"))
    assert not any(word in text for word in ("cgroup_manager", "runtime =", "nofile"))


def test_a_node_may_have_as_many_processes_as_its_host() -> None:
    settings = tomllib.loads(podman_settings(BARE_DEBIAN, Path("/c"), Path("/r")))
    assert settings["containers"]["pids_limit"] == 0  # of podman, otherwise 2,048


def test_podman_keeps_everything_in_private_folders() -> None:
    text = podman_settings(BARE_DEBIAN, Path("/c"), Path("/r")) + storage_settings(Path("/c"), Path("/r"))
    folders = [line.split(" = ")[1].strip('"') for line in text.splitlines() if '= "/' in line]
    assert len(folders) == 6
    assert all(folder.startswith(("/c/", "/r/")) for folder in folders)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("kind v0.30.0 go1.24", (0, 30, 0)),
        ("Client Version: v1.32.4-dispatcher", (1, 32, 4)),
        ("podman version 4.9", (4, 9, 0)),
        ("what?", None),
    ],
)
def test_versions_are_read_from_what_tools_print(text: str, version: versions.Version | None) -> None:
    assert parse_version(text) == version


def test_jars_come_by_the_hosts_maven_where_there_is_one_and_else_within_the_build() -> None:
    within = choose_jars(None)
    assert (within.source, within.maven) == ("build", None)
    for version in ((3, 8, 7), None):
        maven = Tool("/usr/bin/mvn", version)
        choice = choose_jars(maven)
        assert (choice.source, choice.maven) == ("host", maven)


def test_official_images_are_taken_where_images_are_pulled_and_nowhere_else() -> None:
    official = {"prometheus": "registry.example/prometheus:v1"}
    assert choose_official(choose_source(SetupOptions(), True, False, False).source, official) == official
    assert choose_official(choose_source(SetupOptions(), False, True, False).source, official) == {}
    assert choose_official(choose_source(SetupOptions(), False, False, False).source, official) == {}
