"""Reading of a run's history by a process of its own with the lowest priority, which leaves the schedule's alone.

python -m caplab_probes.history.reading FOLDER  # a line of JSON, {"length": n} or {"problem": "..."}, then n bytes
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.model.history import Table

from .recovery import recovered

_BATCH_ROWS = 1 << 16  # segments come in batches of some ten rows, which would hardly compress
_BLOCK_BYTES = 1 << 16
_NICENESS = 19  # of nice(2)


class HistoryUnreadable(Exception):
    """A history that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class HistoryStream:
    """A history that is ready: its length, and its stream."""

    length: int
    stream: IO[bytes]

    def blocks(self) -> Iterator[bytes]:
        """Yield its bytes. Raises HistoryUnreadable if they end early."""
        left = self.length
        while left:
            block = self.stream.read(min(left, _BLOCK_BYTES))
            if not block:
                raise HistoryUnreadable("the history ended early")
            left -= len(block)
            yield block


def arrow_stream(history: Table) -> bytes:
    """Encode a history as one Arrow IPC stream; it is compressed, and any reader of Arrow reads it."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, history.schema, options=options) as stream:
        stream.write_table(history.combine_chunks(), max_chunksize=_BATCH_ROWS)
    return bytes(sink.getvalue())


@contextlib.contextmanager
def read_in_child(run: Path) -> Iterator[HistoryStream]:
    """Read a run's history in a child process that ends with the block. Raises HistoryUnreadable."""
    command = [sys.executable, "-m", __name__, str(run)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        assert child.stdout
        try:
            yield _opened(child.stdout)
        finally:
            child.kill()


def _opened(stream: IO[bytes]) -> HistoryStream:
    try:
        header = json.loads(stream.readline())
    except ValueError:
        raise HistoryUnreadable("the reading process ended early") from None
    if problem := header.get("problem"):
        raise HistoryUnreadable(problem)
    return HistoryStream(header["length"], stream)


def main(folder: Path, out: BinaryIO) -> None:
    """Write a folder's history, or why it cannot be read."""
    try:
        body = arrow_stream(recovered(folder))
    except Exception as error:  # any problem with one run's files is reported
        out.write(json.dumps({"problem": repr(error)}).encode() + b"\n")
        return
    out.write(json.dumps({"length": len(body)}).encode() + b"\n")
    out.write(body)
    out.flush()


if __name__ == "__main__":
    os.nice(_NICENESS)
    with contextlib.suppress(BrokenPipeError):
        main(Path(sys.argv[1]), sys.stdout.buffer)
