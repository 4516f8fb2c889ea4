from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from caplab_cluster import versions
from caplab_cluster.chart import grafana_or_why_not, used_images, values_of
from caplab_cluster.commands import images_of
from caplab_cluster.failure import Failure
from caplab_cluster.images import image_context
from caplab_cluster.images.lab_images import OFFICIAL, ONLY_PULLED, build, discover, in_build_order, parents_of
from caplab_cluster.kind_cluster import CONTROL_PLANE, WORKERS
from caplab_cluster.machine.choose import choose_official
from caplab_cluster.machine.facts import Tool
from caplab_cluster.paths import LAB_IMAGES, REPOSITORY, Cache
from caplab_cluster.progress import Progress


def write(folder: Path, name: str, dockerfile: str) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "Dockerfile").write_text(dockerfile)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write(tmp_path, "base", "ARG FROM_DEBIAN\nFROM ${FROM_DEBIAN}\n")
    write(tmp_path, "app", "ARG FROM_BASE\nFROM ${FROM_BASE}\nCOPY a /a\n")
    (tmp_path / "app" / "a").write_text("1")
    return tmp_path


BASES = {"debian": "debian:1", "debian_java": "debian:0"}
OF_THE_RUNNER = {"scipy", "vl-convert-python"}
OF_USERS = {"shtab"}  # who complete commands in a shell: no image has it


def tags(folder: Path, base: str = "debian:1") -> dict[str, str]:
    return {image.name: image.tag for image in discover(folder, {**BASES, "debian": base})}


def test_only_what_changed_gets_another_tag(images: Path) -> None:
    before = tags(images)
    assert tags(images) == before
    (images / "app" / "a").write_text("2")
    after = tags(images)
    assert after["base"] == before["base"]
    assert after["app"] != before["app"]


def test_a_changed_parent_or_base_changes_what_stands_on_it(images: Path) -> None:
    before = tags(images)
    write(images, "base", "ARG FROM_DEBIAN\nFROM ${FROM_DEBIAN}\nRUN true\n")
    assert all(tags(images)[name] != tag for name, tag in before.items())
    assert all(tags(images, "debian:2")[name] != tag for name, tag in tags(images).items())


def test_an_executable_bit_counts(images: Path) -> None:
    before = tags(images)
    (images / "app" / "a").chmod(0o755)
    assert tags(images)["app"] != before["app"]


def test_a_parent_that_is_not_there_is_named(images: Path) -> None:
    write(images, "bad", "ARG FROM_NOWHERE\nFROM ${FROM_NOWHERE}\n")
    with pytest.raises(Failure, match="images/bad/Dockerfile is built on FROM_NOWHERE"):
        discover(images, BASES)


def test_a_circle_is_named() -> None:
    with pytest.raises(Failure, match="a -> b -> a"):
        in_build_order({"a": ["b"], "b": ["a"]})


def test_the_labs_own_images_are_found_after_what_they_stand_on() -> None:
    names = [image.name for image in discover(LAB_IMAGES, BASES)]
    assert names.index("base") < names.index("toolbox")


def test_parents_are_read_from_arg_lines_only() -> None:
    assert parents_of("# ARG FROM_X\nARG FROM_DEBIAN\nARG OTHER\nFROM ${FROM_DEBIAN}\n") == ("debian",)


def test_a_source_or_a_requirement_changes_the_tag(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_context, "REPOSITORY", images.parent)
    source = images.parent / "package"
    source.mkdir(exist_ok=True)
    (source / "a.py").write_text("1")
    (images / "app" / "context.toml").write_text('sources = ["package"]\n')
    before = tags(images)
    (source / "a.py").write_text("2")
    assert tags(images)["app"] != before["app"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sources = [", "is not TOML"),
        ('source = ["a"]', "unknown key 'source'"),
        ('sources = ["no/such"]', "is not a folder"),
    ],
)
def test_a_bad_context_names_the_file_and_what_is_wrong(images: Path, text: str, says: str) -> None:
    (images / "app" / "context.toml").write_text(text)
    with pytest.raises(Failure, match=r"context\.toml") as failed:
        discover(images, BASES)
    assert says in failed.value.sentence


def test_an_image_may_stand_on_two_bases_and_changes_with_either(images: Path) -> None:
    write(images, "java", "ARG FROM_BASE\nARG FROM_DEBIAN_JAVA\nFROM ${FROM_DEBIAN_JAVA}\n")
    assert tags(images)["java"] != tags(images, "debian:2")["java"]
    changed = {image.name: image.tag for image in discover(images, {**BASES, "debian_java": "debian:9"})}
    assert changed["java"] != tags(images)["java"]
    assert changed["app"] == tags(images)["app"]


def test_jars_are_fetched_by_the_hosts_maven_into_the_context_and_the_labs_own_cache() -> None:
    command = image_context.jar_command(
        Tool("/usr/bin/mvn", (3, 8, 7)), Path("p.xml"), Path("t/lib"), Cache(Path("/c"))
    )
    assert command[0] == "/usr/bin/mvn"
    assert {"-Djars=t/lib", "-Dmaven.repo.local=/c/maven", "dependency:copy-dependencies"} <= set(command)


def test_every_jar_of_cassandra_is_pinned_by_its_digest() -> None:
    lines = (LAB_IMAGES / "cassandra" / "jars.sha256").read_text().splitlines()
    digests, names = zip(*(line.split("  ") for line in lines), strict=True)
    assert all(len(digest) == 64 for digest in digests)
    assert len(set(names)) == len(names)
    version = re.search(
        r"<artifactId>cassandra-all</artifactId>\s*<version>(.+?)<", (LAB_IMAGES / "cassandra" / "pom.xml").read_text()
    )
    assert version
    assert f"cassandra-all-{version[1]}.jar" in names


def test_wheels_are_fetched_for_the_images_python_whatever_runs_here() -> None:
    command = image_context.wheel_command(Path("r"), Path("w"), "arm64")
    assert "--python-version=3.13" in command
    assert "--platform=manylinux_2_28_aarch64" in command
    assert "--require-hashes" in command


def test_the_runner_brings_what_is_its_own_of_the_lock_and_leaves_all_else_to_the_image_below() -> None:
    """Their wheels are unpacked beside the packages of images/python: a second NumPy there would be another one's."""
    pinned = re.findall(
        r"^([a-z0-9-]+)==(\S+)", (LAB_IMAGES / "runner" / "requirements.lock").read_text(), re.MULTILINE
    )
    assert [name for name, _ in pinned] == sorted(OF_THE_RUNNER)
    for name, version in pinned:
        locked = re.findall(rf"^{name}==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
        assert version in locked
    assert image_context.read(LAB_IMAGES / "runner").wheels == LAB_IMAGES / "runner" / "requirements.lock"


def test_every_package_that_is_needed_is_pinned_and_only_the_runner_judges() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as project:
        needed = {re.split(r"[\[<>=]", each)[0] for each in tomllib.load(project)["project"]["dependencies"]}
    pinned = {
        lock: set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z]+\])?==", (REPOSITORY / lock).read_text(), re.MULTILINE))
        for lock in ("requirements.lock", "images/python/requirements.lock")
    }
    assert needed > OF_THE_RUNNER
    assert needed - pinned["requirements.lock"] == set()
    assert needed - pinned["images/python/requirements.lock"] == OF_THE_RUNNER | OF_USERS


def test_each_node_gets_what_runs_there() -> None:
    names = [image.name for image in discover(LAB_IMAGES, BASES)]
    references = {name: f"host/{name}@sha256:0" for name in names}
    spared = ["operator", "postgres-exporter", "prometheus", "redis-exporter", "runner"]
    assert images_of(CONTROL_PLANE, references) == [references[name] for name in spared]
    for worker in WORKERS:
        assert images_of(worker, references) == [references[name] for name in names if name not in spared]


def test_an_official_image_takes_the_place_of_the_one_that_would_be_built(images: Path) -> None:
    official = {"app": "registry.example/app:v1"}
    base, app = discover(images, BASES, official)
    assert (base.official, base.local) == ("", f"localhost/caplab/base:{base.tag}")
    assert app.local == "registry.example/app:v1"
    assert app.tag != tags(images)["app"]
    assert discover(images, BASES, {"app": "registry.example/app:v2"})[1].tag != app.tag


def test_what_is_pulled_is_not_built_and_what_is_there_is_not_pulled_again(images: Path, tmp_path: Path) -> None:
    done = []

    class FakeEngine:
        def has_image(self, reference: str) -> bool:
            return reference == "registry.example/base:v1"

        def run(self, _step: object, *arguments: str) -> None:
            done.append(arguments)

    official = {"base": "registry.example/base:v1", "app": "registry.example/app:v1"}
    discovered = discover(images, BASES, official)
    progress, cache = Progress(tmp_path / "logs"), Cache(tmp_path / "cache")
    build(progress, FakeEngine(), cache, discovered, BASES, None)  # type: ignore[arg-type]
    assert done == [("pull", "registry.example/app:v1")]


def test_every_official_image_has_a_folder_from_which_it_is_built_otherwise() -> None:
    assert OFFICIAL.keys() <= {image.name for image in discover(LAB_IMAGES, BASES)}
    assert all(re.fullmatch(r"\S+/\S+:v[\d.]+", reference) for reference in OFFICIAL.values())


def test_what_is_only_pulled_is_there_where_images_are_pulled_and_missing_where_they_are_built() -> None:
    pulled, built = (choose_official(source, OFFICIAL | ONLY_PULLED) for source in ("pull", "build"))
    names = {image.name: image.local for image in discover(LAB_IMAGES, BASES, pulled)}
    assert names["grafana"] == versions.GRAFANA_IMAGE
    assert ONLY_PULLED.keys() & {image.name for image in discover(LAB_IMAGES, BASES, built)} == set()
    assert grafana_or_why_not(pulled).startswith(versions.GRAFANA_IMAGE)
    assert grafana_or_why_not(built).startswith("none, because its image cannot be pulled")


def test_the_chart_has_a_grafana_where_there_is_an_image_of_it() -> None:
    without = dict.fromkeys((*used_images(), "toolbox"), "host/x")
    assert values_of(without) == {"images": dict.fromkeys(used_images(), "host/x"), "grafana": {"enabled": False}}
    there = values_of({**without, "grafana": "host/g"})
    assert there["grafana"] == {"enabled": True}
    assert there["images"]["grafana"] == "host/g"
