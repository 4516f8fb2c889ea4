"""The contents of README.md and docs/: links, anchors, manifests, commands and the files that they name."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from caplab_cluster.paths import REPOSITORY

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)
_IN_A_COMMAND = re.compile(r"<<< '(\{.*?\})'$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """List the pages beside README.md, and every page of docs/."""
    beside = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
    return [*(REPOSITORY / name for name in beside), *sorted((REPOSITORY / "docs").rglob("*.md"))]


def handbook() -> list[Path]:
    """List the pages that people wrote: evidence and the CAP table are made by programs."""
    made = (REPOSITORY / "docs" / "evidence", REPOSITORY / "docs" / "cap-table.md")
    return [page for page in pages() if not any(page.is_relative_to(folder) for folder in made)]


def links(text: str) -> list[str]:
    """Return the targets of a page's links and pictures; text in code is not a link."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text)))


def anchors(text: str) -> set[str]:
    """Return what a link may name after #, as GitHub derives it from a page's headings."""
    headings = re.findall(r"^#+ +(.*?) *$", _FENCE.sub("", text), re.MULTILINE)
    plain = [re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def broken_links(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere; those to other sites are not followed."""
    return [link for link in links(page.read_text()) if "://" not in link and not _leads_somewhere(page, link)]


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    there = (page.parent / path).resolve() if path else page
    return there.exists() and (not anchor or anchor in anchors(there.read_text()))


def code(text: str) -> Iterator[tuple[str, str]]:
    """Return every piece of code of a page, with the language of its fence ('' if it has none)."""
    yield from _FENCE.findall(text)
    for block in _INDENTED.findall(_FENCE.sub("", text)):
        yield "", textwrap.dedent(block)


def manifests(text: str) -> list[Mapping[str, Any]]:
    """Return the lab's objects that a page shows: as YAML, or as JSON in a command."""
    documents: list[Mapping[str, Any]] = []
    for language, block in code(text):
        documents += [json.loads(text) for text in _IN_A_COMMAND.findall(block)]
        if language == "yaml" or block.startswith("apiVersion:"):
            documents += [
                document
                for document in yaml.safe_load_all(block)
                if isinstance(document, dict) and "apiVersion" in document
            ]
    return documents


def commands(text: str, program: str) -> list[str]:
    """Return the lines of code that call a program, without comments; a line with a · is the program's output."""
    lines = (line for _, block in code(text) for line in block.splitlines())
    called = (re.sub(r" +#.*", "", line).removeprefix("$ ") for line in lines)
    return [line for line in called if line.startswith(f"{program} ") and " · " not in line]
