"""Stored suites' folders: which there are, their sizes, and which are removed when there are too many."""

from __future__ import annotations

import datetime
import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..model.fields import FieldError

_NAMED = re.compile(r"(\d{8}-\d{6})-(.+)")
_DRAFT = ".{}.part"  # an unfinished copy: its first dot hides it from readers of suites


@dataclass(frozen=True, slots=True)
class StoredSuite:
    """A suite's folder: when it was begun (UTC), its suite's name, and its size on disk."""

    path: Path
    begun: datetime.datetime
    suite: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be kept; None: no bound. last: so many of each suite."""

    age: datetime.timedelta | None = None
    size_bytes: int | None = None
    last: int | None = None


def named(path: Path) -> tuple[datetime.datetime, str] | None:
    """Return when a folder's suite was begun, and its name; None if the folder's name has another form."""
    match = _NAMED.fullmatch(path.name)
    try:
        begun = datetime.datetime.strptime(match[1], "%Y%m%d-%H%M%S") if match else None
    except ValueError:
        return None
    return (begun.replace(tzinfo=datetime.UTC), match[2]) if match and begun else None


def suites(folder: Path) -> list[StoredSuite]:
    """Return the suites' folders in a folder, the oldest first; its other content is ignored."""
    stored = []
    for path in folder.iterdir() if folder.is_dir() else ():
        begun_and_suite = named(path) if path.is_dir() and not path.is_symlink() else None
        if begun_and_suite:
            stored.append(StoredSuite(path, *begun_and_suite, size_of(path)))
    return sorted(stored, key=lambda suite: (suite.begun, suite.path.name))


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files; a file that disappears meanwhile counts nothing."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.lstat().st_size if not file.is_dir() else 0
        except OSError:
            continue
    return total


def to_prune(kept: Sequence[StoredSuite], bounds: Bounds, now: datetime.datetime) -> list[StoredSuite]:
    """Return the folders to remove, the oldest first. Pure. The newest of all stays, whatever its age and size."""
    oldest_first = sorted(kept, key=lambda suite: (suite.begun, suite.path.name))
    gone = set(_too_old(oldest_first, bounds, now)) | set(_too_many(oldest_first, bounds))
    left = [suite for suite in oldest_first if suite not in gone]
    total = sum(suite.size_bytes for suite in left)
    for suite in left:
        if bounds.size_bytes is None or total <= bounds.size_bytes:
            break
        gone.add(suite)
        total -= suite.size_bytes
    return [suite for suite in oldest_first[:-1] if suite in gone]


def prune(folder: Path, bounds: Bounds, now: datetime.datetime) -> list[StoredSuite]:
    """Remove what is over the bounds, and return it. OSError if it cannot be removed."""
    gone = to_prune(suites(folder), bounds, now)
    for suite in gone:
        shutil.rmtree(suite.path)
    return gone


def add(suite: Path, baseline: Path) -> Path:
    """Copy a suite's folder without its histories and pictures, whole or not at all; return the copy."""
    from ..files.results import HISTORY, TIMELINE  # noqa: PLC0415  # histories are read by pyarrow, which is slow to load

    heavy = {HISTORY, TIMELINE}  # the figures' sources, not the figures themselves
    if baseline.resolve() == suite.resolve().parent:  # it would be replaced by its own reduced copy
        raise FieldError(f"{baseline}: {suite.name} itself is in it. Hint: name another folder for the baseline.")
    target = baseline / suite.name
    draft = baseline / _DRAFT.format(suite.name)
    baseline.mkdir(parents=True, exist_ok=True)
    with _alone_in(baseline):
        for unfinished_copy in baseline.glob(_DRAFT.format("*")):
            shutil.rmtree(unfinished_copy, ignore_errors=True)
        shutil.copytree(
            suite, draft, ignore=lambda folder, names: {*heavy.intersection(names), *_skipped_entries(folder, names)}
        )
        if target.exists():
            target.rename(baseline / _DRAFT.format(f"{suite.name}.before"))
        draft.rename(target)
        shutil.rmtree(baseline / _DRAFT.format(f"{suite.name}.before"), ignore_errors=True)
    return target


def _skipped_entries(folder: str, names: Iterable[str]) -> set[str]:
    """Return entries to skip: links lead out of a suite, or round in it, and pipes have no end."""
    paths = {name: Path(folder, name) for name in names}
    return {name for name, path in paths.items() if path.is_symlink() or not (path.is_file() or path.is_dir())}


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let one process at a time add to a folder, so that another's draft is not taken for a broken one."""
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _too_old(kept: Iterable[StoredSuite], bounds: Bounds, now: datetime.datetime) -> list[StoredSuite]:
    return [] if bounds.age is None else [suite for suite in kept if now - suite.begun > bounds.age]


def _too_many(kept: Sequence[StoredSuite], bounds: Bounds) -> list[StoredSuite]:
    if bounds.last is None:
        return []
    by_suite: dict[str, list[StoredSuite]] = {}
    for suite in kept:
        by_suite.setdefault(suite.suite, []).append(suite)
    return [suite for of_suite in by_suite.values() for suite in of_suite[: -bounds.last]]
