"""Content digests of what an artifact was made from, so that only what changed is made again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

_SHORT = 12  # hex digits: collisions are out of the question for dozens of artifacts


def files_below(folder: Path) -> list[Path]:
    """List every file below a folder, sorted, without Python's caches."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def digest(folders: Iterable[Path], *words: str) -> str:
    """Return a short digest of files (name, mode, content) below folders and of words; order counts."""
    state = hashlib.sha256()
    for word in words:
        state.update(f"word {len(word)} {word}\n".encode())
    for folder in folders:
        for path in files_below(folder):
            content = path.read_bytes()
            executable = bool(path.stat().st_mode & 0o100)
            state.update(f"file {path.relative_to(folder)} {executable} {len(content)}\n".encode())
            state.update(content)
    return state.hexdigest()[:_SHORT]
