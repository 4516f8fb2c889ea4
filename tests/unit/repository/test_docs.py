"""README.md and docs/ say what is so: links lead somewhere, examples are taken, and commands and files are there."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
import yaml
from caplab_cluster.paths import REPOSITORY
from chaoscaplab.controls.plan import plan_of
from chaoscaplab.discovery import discover
from support.chart.crd_schema import problems, schemas
from support.chart.templates import read_crd
from support.docs_examples import anchors, broken_links, code, commands, handbook, links, manifests, pages
from support.runs.experiment_files import loaded

from caplab import cli
from caplab.contract.names import API_VERSION
from caplab.judging import experiments_folder
from caplab.run import suites

CHECKERS = (REPOSITORY / "docs" / "checkers.md").read_text()
EXPERIMENTS = (REPOSITORY / "docs" / "experiments.md").read_text()
MAKEFILE = (REPOSITORY / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
SHOWN = [(page, manifest) for page in pages() for manifest in manifests(page.read_text())]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("# One thing, and `another`\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](other.md#one-thing-and-another) [b](#here) [c](https://x.y) `[d](e)`\n"
                    "[f](gone.md) ![g](gone.svg) [h](other.md#no-heading) [i](#there)\n")  # fmt: skip
    assert anchors(other.read_text()) == {"one-thing-and-another"}
    assert "https://x.y" in links(page.read_text())
    assert broken_links(page) == ["gone.md", "gone.svg", "other.md#no-heading", "#there"]


@pytest.mark.parametrize(("page", "manifest"), SHOWN, ids=[f"{page.name}-{shown['kind']}" for page, shown in SHOWN])
def test_a_manifest_that_is_shown_is_one_that_the_schemas_take(page: Path, manifest: dict[str, Any]) -> None:
    assert problems(manifest) == []


def test_every_kind_that_people_make_is_shown() -> None:
    assert {manifest["kind"] for _, manifest in SHOWN} == schemas().keys() - {"Run"}  # `caplab run` makes those


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"replica": 3}, "object.spec: there is no field 'replica'"),
        ({"replicas": "3"}, "object.spec.replicas: '3' is no integer"),
        ({"replicas": True}, "object.spec.replicas: True is no integer"),
        ({"replicas": 99}, "object.spec.replicas: 99: maximum is"),
        ({"durability": "strong"}, "object.spec.durability: 'strong' is none of"),
        ({"storage": {"size": "a lot"}}, "object.spec.storage.size: 'a lot' does not match"),
    ],
)
def test_a_manifest_that_no_schema_takes_is_seen(spec: dict[str, Any], says: str) -> None:
    shown = {"apiVersion": API_VERSION, "kind": "PostgresCluster", "metadata": {"name": "pg"}, "spec": spec}
    (problem,) = problems(shown)
    assert problem.startswith(says)


def test_schemas_have_no_keyword_that_is_none() -> None:
    """A comma in a description without quotes makes a key of what is behind it."""
    for kind, schema in schemas().items():
        assert problems({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "x"}}) is not None
        assert unknown_keywords(schema) == [], kind


def test_no_column_claims_to_show_a_list() -> None:
    """Of a list the API server shows the first entry only: three members, one of them down, were `UN`."""
    files = (REPOSITORY / "charts" / "caplab" / "templates" / "crds").glob("*.yaml")
    for version in (read_crd(file)["spec"]["versions"][0] for file in files):
        assert [column for column in version["additionalPrinterColumns"] if "[*]" in column["jsonPath"]] == []


def unknown_keywords(schema: Any) -> list[str]:
    inner = [
        *schema.get("properties", {}).values(),
        *(schema[key] for key in ("items", "additionalProperties") if key in schema),
    ]
    return [key for key in schema if not re.fullmatch(r"x-kubernetes-[a-z-]+|[a-zA-Z]+", key)] + [
        keyword for inner_schema in inner for keyword in unknown_keywords(inner_schema)
    ]


@pytest.mark.parametrize("page", handbook(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_make_target_that_is_named_is_there(page: Path) -> None:
    text = page.read_text()
    named = [line.split()[1] for line in commands(text, "make")] + re.findall(r"`make ([a-z-]+)`", text)
    assert {command for command in named if "=" not in command} <= TARGETS


@pytest.mark.parametrize("page", handbook(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_call_of_caplab_that_is_shown_is_understood(page: Path) -> None:
    for line in commands(page.read_text(), "caplab"):
        parsed = cli.parse(line.split()[1:])
        if parsed.command == "run":
            run = suites.find(experiments_folder(), parsed.name, {}).runs[0]
            assert dict(parsed.settings).keys() <= loaded(run.experiment)["configuration"].keys(), line


def test_every_suite_and_experiment_that_make_chaos_is_shown_with_is_there() -> None:
    for page in handbook():
        for line in commands(page.read_text(), "make"):
            for name in re.findall(r"(?:SUITE|EXPERIMENT)=(\S+)", line):
                assert suites.find(experiments_folder(), name, {}).runs, line


def test_the_page_of_experiments_names_each_of_them_and_no_other() -> None:
    there = set(suites.experiments(experiments_folder()))
    (table,) = re.findall(r"^\| experiment \|.*?\n\n", EXPERIMENTS, re.MULTILINE | re.DOTALL)
    first = [row.split("|")[1] for row in table.splitlines()[2:] if row]
    named = {name for cell in first for name in re.findall(r"\w+/[\w-]+", cell)} - {"ENGINE/control"}
    assert named | {f"{engine}/control" for engine in ("postgres", "redis", "cassandra")} == there


def test_the_page_of_experiments_names_every_action_and_probe() -> None:
    activities = discover(discover_system=False)["activities"]
    (table,) = re.findall(r"^\| of `chaoscaplab` \|.*?\n\n", EXPERIMENTS, re.MULTILINE | re.DOTALL)
    rows = [row.split("|")[1:3] for row in table.splitlines()[2:] if row]
    named = {
        (re.findall(r"`([\w.]+)`", module)[0], name) for module, names in rows for name in re.findall(r"`(\w+)`", names)
    }
    there = {(activity["mod"].removeprefix("chaoscaplab."), activity["name"]) for activity in activities}
    assert {name for name in named if name[0] != "controls.run"} == there


def test_the_extension_that_is_shown_is_one_that_a_run_takes() -> None:
    (block,) = [block for language, block in code(EXPERIMENTS) if language == "yaml" and "row:" in block]
    shown = {**loaded("postgres/kill-primary"), **yaml.safe_load(block)}
    defaults = {name: value["default"] for name, value in shown["configuration"].items()}
    assert plan_of(shown, defaults, {}).cluster == "pg"


@pytest.mark.parametrize("page", handbook(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_file_of_the_repository_that_is_named_is_there(page: Path) -> None:
    roots = "|".join(
        folder.name for folder in REPOSITORY.iterdir() if folder.is_dir() and not folder.name.startswith(".")
    )
    named = set(re.findall(rf"`((?:{roots})/[\w./-]+)`", page.read_text()))
    generic = {name for name in named if re.search(r"ENGINE|NAME|\.caplab\.dev$", name)}
    assert {name for name in named - generic if not (REPOSITORY / name).exists()} == set()


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 200, "Hint: details belong into docs/"


def test_the_check_that_is_shown_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [block for _, block in code(CHECKERS) if block.startswith("$ cat history.csv")]
    _, history, findings = re.split(r"^\$ .*\n", block, flags=re.MULTILINE)
    (tmp_path / "history.csv").write_text(history)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", "history.csv"]) == 1
    assert capsys.readouterr().out == findings, "Hint: put into docs/checkers.md what is printed"


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_check_fits_the_terminal(tmp_path: Path, columns: int) -> None:
    (block,) = [block for _, block in code(CHECKERS) if block.startswith("$ cat history.csv")]
    (tmp_path / "history.csv").write_text(re.split(r"^\$ .*\n", block, flags=re.MULTILINE)[1])
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [sys.executable, "-m", "caplab", "check", "history.csv"]
    with subprocess.Popen(command, stdout=theirs, cwd=tmp_path) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b"")).decode()
        assert process.wait(timeout=60) == 1
    os.close(ours)
    widest = max(len(line.rstrip()) for line in shown.splitlines())
    assert min(columns, 110) - 12 < widest <= min(columns, 110)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # so a terminal says that nobody writes to it any more
        return b""
