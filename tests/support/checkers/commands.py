"""Histories as files, and what `caplab check` is run with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyarrow import parquet  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.model.history import SCHEMA

from .histories import Row, table

RunCheck = Callable[..., tuple[int, str, str]]
FEW = ("session", "op", "key", "value", "invoke_ns", "return_ns", "outcome")


def stored(path: Path, rows: list[Row], columns: tuple[str, ...] = tuple(SCHEMA.names)) -> Path:
    """Write rows as somebody else's recorder leaves them: sorted, each operation in a session of its own."""
    alone = [
        row if row["op"] == "scan" else row if row["op"] == "scan" else {**row, "session": number}
        for number, row in enumerate(rows)
    ]
    whole = table(alone).sort_by("invoke_ns").select(list(columns))
    if path.suffix == ".csv":
        lines = [",".join(columns)]
        lines += [",".join("" if cell is None else str(cell) for cell in row.values()) for row in whole.to_pylist()]
        path.write_text("\n".join(lines) + "\n")
    else:
        parquet.write_table(whole, path)
    return path
