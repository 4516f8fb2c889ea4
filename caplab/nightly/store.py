"""Where results are stored: a folder, or an S3-compatible bucket; both as fsspec file systems.

A suite's folder counts as reported once it has its REPORT, which is written last: an unfinished one has none.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.local import LocalFileSystem

from ..model.fields import FieldError
from .folders import StoredSuite, named
from .report import REPORT

ENDPOINT_VARIABLE, REGION_VARIABLE = "CAPLAB_S3_ENDPOINT", "CAPLAB_S3_REGION"
_CONNECT_SECONDS, _REQUEST_SECONDS = 5, 60
_MAX_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Store:
    """A file system and the folder in it. Calls block. Raises OSError, also for errors of a bucket's server."""

    files: Any  # fsspec has no types
    root: str

    def suites(self) -> list[StoredSuite]:
        """Return the suites' folders, the oldest first; a folder's path is its name alone."""
        sizes: dict[str, int] = {}
        if not self.files.exists(self.root):
            return []
        for number, (path, info) in enumerate(self.files.find(self.root, detail=True).items()):
            if number >= _MAX_FILES:
                raise OSError(f"{self.root} holds over {_MAX_FILES:,} files")
            inside = self._inside(path).parts
            if len(inside) > 1:
                sizes[inside[0]] = sizes.get(inside[0], 0) + int(info.get("size") or 0)
        every = [(name, size, named(Path(name))) for name, size in sizes.items()]
        kept = [
            StoredSuite(Path(name), *begun_and_suite, size) for name, size, begun_and_suite in every if begun_and_suite
        ]
        return sorted(kept, key=lambda suite: (suite.begun, suite.path.name))

    def names(self, suite: str) -> list[str]:
        """Return the files of a suite's folder itself, not those of its runs."""
        listed = self.files.ls(self._path(suite), detail=True)
        return [PurePosixPath(entry["name"]).name for entry in listed if entry["type"] == "file"]

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a file; FileNotFoundError if it is missing, FieldError if it is too long, or not an ordinary file."""
        path = self._path(name)
        with self._plain(path) if self._is_local else self.files.open(path, "rb") as file:
            content = bytes(file.read(max_bytes + 1))
        if len(content) > max_bytes:
            raise FieldError(f"{name} is over {max_bytes:,} bytes long")
        return content

    @property
    def _is_local(self) -> bool:
        return isinstance(self.files, LocalFileSystem)

    def _plain(self, path: str) -> IO[bytes]:
        """Open an ordinary file of the store: a link leads out of it, and reading a pipe never ends."""
        inside = self._inside(path)
        if not any((Path(self.root) / part).is_symlink() for part in (inside, *inside.parents[:-1])):
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            if stat.S_ISREG(os.fstat(file).st_mode):
                return os.fdopen(file, "rb")
            os.close(file)
        raise FieldError(f"{inside} is not an ordinary file. Hint: remove it.")

    def write(self, name: str, content: bytes) -> None:
        """Write a file, and make its folders."""
        path = self._path(name)
        self.files.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        with self.files.open(path, "wb") as file:
            file.write(content)

    def push(self, folder: Path) -> None:
        """Upload a suite's folder, its REPORT last."""
        every = sorted(file for file in folder.rglob("*") if file.is_file())
        for file in sorted(every, key=lambda path: path.name == REPORT):
            self.write(f"{folder.name}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def pull(self, folder: str, target: Path) -> None:
        """Download a folder with all its content."""
        if not self.files.exists(self._path(folder)):
            return
        for path in self.files.find(self._path(folder)):
            inside = self._inside(path).relative_to(folder)
            if ".." in inside.parts:  # a bucket's keys may be any text
                raise OSError(f"{path} is not a file's name")
            file = target / inside
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.files.cat_file(path))

    def remove(self, name: str) -> None:
        """Remove a file, or a folder; a missing one is no error."""
        path = self._path(name)
        if self._is_local and Path(path).is_symlink():
            Path(path).unlink()
        elif self.files.exists(path):
            self.files.rm(path, recursive=True)

    def _path(self, name: str) -> str:
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/"):
            raise FieldError(f"'{name}' is not a name in a store.")
        return f"{self.root}/{name}"

    def _inside(self, path: str) -> PurePosixPath:
        return PurePosixPath(path.lstrip("/")).relative_to(self.root.lstrip("/"))


def of_folder(folder: Path) -> Store:
    """Return the store for a folder of this machine."""
    return Store(fsspec.filesystem("file"), str(folder.absolute()))


def opened(url: str, environment: Mapping[str, str] = os.environ) -> Store:
    """Open the store at s3://BUCKET/PREFIX; FieldError for any other address. No request is made yet.

    Keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; CAPLAB_S3_ENDPOINT names a server that is not Amazon's.
    """
    scheme, _, rest = url.partition("://")
    bucket = rest.strip("/")
    if scheme != "s3" or not bucket or ".." in bucket.split("/"):
        raise FieldError(f"'{url}' is not a bucket's address. Hint: write it as s3://BUCKET/PREFIX.")
    from pyarrow.fs import S3FileSystem  # type: ignore[import-untyped]  # noqa: PLC0415  # slow to load, and rarely used

    endpoint = environment.get(ENDPOINT_VARIABLE, "")
    server = {"endpoint_override": endpoint.split("://")[-1], "scheme": endpoint.split("://")[0]} if endpoint else {}
    if endpoint and server["scheme"] not in ("http", "https"):
        raise FieldError(f"{ENDPOINT_VARIABLE} is '{endpoint}'. Hint: write it as https://HOST:PORT.")
    region = environment.get(REGION_VARIABLE) or "us-east-1"
    files = S3FileSystem(
        region=region, connect_timeout=_CONNECT_SECONDS, request_timeout=_REQUEST_SECONDS, **server
    )  # fmt: skip
    return Store(ArrowFSWrapper(files), bucket)
