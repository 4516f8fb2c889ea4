"""Rows on their way to the disk: gathered in memory for a moment, and written by a thread of their own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from .writer import Row, SegmentWriter

FLUSH_NS = 200_000_000
ROWS_MAX = 50_000  # in memory: four minutes at 200 a second


class Recorder:
    """Keeps the event loop from waiting for the disk. Raises OSError if the disk fails or falls too far behind."""

    def __init__(self, writer: SegmentWriter) -> None:
        self._writer = writer
        self._rows: list[Row] = []
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._job: Future[None] | None = None
        self._flushed_ns = 0
        self.count = 0

    def add(self, row: Row) -> None:
        """Take one row."""
        self._rows.append(row)
        self.count += 1

    def tick(self, now_ns: int) -> None:
        """Hand over the rows gathered, if it is time to; to be called several times a second."""
        if now_ns - self._flushed_ns < FLUSH_NS:
            return
        if self._job is not None and not self._job.done():
            if len(self._rows) > ROWS_MAX:
                raise OSError(f"the history cannot be written fast enough: {len(self._rows)} rows are waiting")
            return
        self._flush(now_ns)

    def close(self, now_ns: int) -> None:
        """Write what is left and close the segment; blocks."""
        try:
            self._flush(now_ns)
            self._executor.submit(self._writer.close).result()
            self._settle()
        finally:
            self._executor.shutdown()

    def _flush(self, now_ns: int) -> None:
        self._settle()
        rows, self._rows = self._rows, []
        self._flushed_ns = now_ns
        self._job = self._executor.submit(self._writer.write, rows, now_ns)

    def _settle(self) -> None:
        if self._job is not None:
            job, self._job = self._job, None
            job.result()
