"""What the lab's packages say of themselves, read from their source: importing them takes long, or starts a part."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path


def of_folders(package: str, *within: str) -> dict[str, str]:
    """Return the docstring of each package in a folder of a package, by name; '' if it has none."""
    spec = find_spec(package)
    roots = [Path(root, *within) for root in (spec.submodule_search_locations or ())] if spec else []
    files = sorted(file for root in roots for file in root.glob("*/__init__.py"))
    return {file.parent.name: ast.get_docstring(ast.parse(file.read_bytes())) or "" for file in files}
