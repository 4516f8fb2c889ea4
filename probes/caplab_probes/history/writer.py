"""The history on disk: segments of Arrow IPC streams that outlive the process which writes them.

A segment is open for a second at most and then closed by rename. Within it, whole batches are
handed to the kernel as they come, so that a killed prober loses only what it had not handed over.
Nothing is synced to the disk: the lab does not make machines lose power.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.model.history import SCHEMA, Table

SEGMENT_NS = 1_000_000_000
OPEN_SUFFIX = ".part"
_SEGMENT = re.compile(r"\d{2}-\d{8}\.arrows(\.part)?")


class Row(NamedTuple):
    """One row of a history, with the columns in the order of SCHEMA. A tuple: three times as fast as a dataclass."""

    vantage: str
    session: int
    op: str
    key: str | None
    value: int | None
    expected: int | None
    observed: int | None
    level: str | None
    route: str | None
    server: str | None
    epoch: str | None
    scheduled_ns: int
    invoke_ns: int
    return_ns: int | None
    outcome: str
    error: str | None
    txn: list[dict[str, Any]] | None = None


if list(Row._fields) != SCHEMA.names:
    raise ImportError("caplab_probes.history.writer.Row and caplab.model.history.SCHEMA differ")


def batch_of(rows: Sequence[Row]) -> Any:
    """Return rows as one Arrow record batch of SCHEMA."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


class SegmentWriter:
    """Appends rows to the segments of one incarnation; not safe between threads.

    It keeps no rows: what `write` returns from has been handed to the kernel. Raises OSError if the disk does.
    """

    def __init__(self, folder: Path, incarnation: int, segment_ns: int = SEGMENT_NS) -> None:
        self._folder = folder
        self._incarnation = incarnation
        self._segment_ns = segment_ns
        self._number = 0
        self._opened_ns = 0
        self._path = Path()
        self._stream: Any = None
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, rows: Sequence[Row], now_ns: int) -> None:
        """Append rows as one batch; closes the segment first if its second is over."""
        self.roll(now_ns)
        if not rows:
            return
        if self._stream is None:
            self._open(now_ns)
        self._stream.write_batch(batch_of(rows))

    def roll(self, now_ns: int) -> None:
        """Close the open segment if its second is over."""
        if self._stream is not None and now_ns - self._opened_ns >= self._segment_ns:
            self.close()

    def close(self) -> None:
        """Close the open segment, if there is one; the next write begins another."""
        if self._stream is not None:
            self._stream.close()
            self._file.close()
            self._path.rename(self._path.with_name(self._path.name.removesuffix(OPEN_SUFFIX)))
            self._stream = None

    def _open(self, now_ns: int) -> None:
        self._path = self._folder / f"{self._incarnation:02d}-{self._number:08d}.arrows{OPEN_SUFFIX}"
        # Unbuffered: a batch is in the kernel's hands when write_batch returns.
        self._file = FileIO(self._path, "x")
        self._stream = pa.ipc.new_stream(self._file, SCHEMA)
        self._number += 1
        self._opened_ns = now_ns


def read_folder(folder: Path) -> Table:
    """Read every whole batch of a folder's segments, in the order they were written; a torn end is left out."""
    batches = [batch for path in segments(folder) for batch in _batches(path)]
    return pa.Table.from_batches(batches, schema=SCHEMA)


def segments(folder: Path) -> list[Path]:
    """List a folder's segments in the order they were written, open ones too."""
    return sorted(path for path in folder.glob("*.arrows*") if _SEGMENT.fullmatch(path.name))


def _batches(path: Path) -> Iterator[Any]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # closed by rename since it was listed
        data = path.with_name(path.name.removesuffix(OPEN_SUFFIX)).read_bytes()
    try:
        with pa.ipc.open_stream(data) as reader:
            yield from reader
    except (pa.ArrowInvalid, OSError):
        return  # torn within a message, as a kill leaves it
