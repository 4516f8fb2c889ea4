"""The pages for those who change the lab name what is there, and what a change edits."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from caplab_cluster.paths import REPOSITORY

ARCHITECTURE = (REPOSITORY / "docs" / "architecture.md").read_text()
EXTENDING = (REPOSITORY / "docs" / "extending.md").read_text()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["importlinter"]["root_packages"]
ROOTS = ("", "cluster", "dashboards", "experiments", "operator", "probes")
UNIT = REPOSITORY / "tests" / "unit"
ADDING = {
    "A checker": UNIT / "check" / "test_adding_a_checker.py",
    "An engine": UNIT / "repository" / "test_adding_an_engine.py",
    "A fault": UNIT / "faults" / "test_adding_a_fault.py",
    "An experiment": UNIT / "experiments" / "test_adding_an_experiment.py",
}


def modules_named(text: str) -> set[str]:
    """Return the modules and packages that a page names."""
    names = "|".join(PACKAGES)
    return set(re.findall(rf"`((?:{names})(?:\.\w+)*)`", text))


def missing(text: str) -> set[str]:
    """Return those of them that are not there."""
    return {name for name in modules_named(text) if not any(_is_there(REPOSITORY / root, name) for root in ROOTS)}


def _is_there(root: Path, name: str) -> bool:
    path = root / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def edited(page: str, section: str) -> list[str]:
    """Return the files of a section's checklist."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return re.findall(r"^- \[ \] `([^`]+)`", text, re.MULTILINE)


def counted(test: Path) -> set[str]:
    """Return the files that a test of an addition finds edited: its constant EDITED."""
    spec = importlib.util.spec_from_file_location(f"counted_{test.stem}", test)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files: set[str] = module.EDITED
    return files


def test_every_module_of_the_architecture_is_there() -> None:
    assert len(modules_named(ARCHITECTURE)) > 50
    assert missing(ARCHITECTURE) == set()
    assert missing("`caplab.check.durability`, `caplab_agent.nobody` and `caplab.contract.names`") == {
        "caplab_agent.nobody"
    }


def test_the_architecture_says_of_every_package_whom_it_may_import() -> None:
    table = ARCHITECTURE.partition("## Who may import whom")[2]
    assert {name for name in PACKAGES if f"`{name}`" not in table} - {"caplab"} == set()


@pytest.mark.parametrize("section", ADDING)
def test_the_files_of_a_checklist_are_those_that_the_test_of_it_edits(section: str) -> None:
    files = edited(EXTENDING, section)
    assert len(files) == len(set(files))
    assert set(files) == counted(ADDING[section])


def test_a_checklist_that_differs_is_seen() -> None:
    page = EXTENDING.replace("- [ ] `caplab/check/__init__.py`", "- [ ] `caplab/check/lines.py`")
    assert page != EXTENDING
    assert set(edited(page, "A checker")) != counted(ADDING["A checker"])


def test_what_pre_commit_runs_is_this_checkouts_own() -> None:
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    makefile = (REPOSITORY / "Makefile").read_text()
    for hook in hooks:
        assert hook["language"] == "system"
        assert re.search(rf"^{hook['entry'].removeprefix('make ')}: ", makefile, re.MULTILINE)


def test_the_changelog_begins_with_what_comes_next() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[0] == f"Unreleased: {PROJECT['project']['version']}"


def test_the_readme_leads_to_the_pages_for_those_who_change_the_lab() -> None:
    text = (REPOSITORY / "README.md").read_text()
    for page in ("CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/extending.md"):
        assert f"({page})" in text


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_has_types(package: str) -> None:
    (folder,) = (REPOSITORY / root / package for root in ROOTS if (REPOSITORY / root / package).is_dir())
    assert (folder / "py.typed").is_file()
