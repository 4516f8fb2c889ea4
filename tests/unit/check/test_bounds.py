"""Small files that hold very much are refused before that is in memory, or read without writing it out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from caplab_cluster.paths import REPOSITORY
from pyarrow import ipc, parquet

from caplab.model import bounds
from caplab.model.bounds import Bounds, TooMuch

MIB = 2**20
SMALL_MIB = 220  # what the command takes for a history of a few rows, with room for other libraries' versions


@dataclass(frozen=True)
class Ended:
    """How the command ended, and the most memory that it took."""

    code: int
    out: str
    err: str
    mib: float


# From a small process of its own: a child begins with the memory of its parent, which here has just written the bomb.
_LAUNCHER = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "caplab", "check", *sys.argv[1:]], check=False)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


def check(*arguments: object) -> Ended:
    command = [sys.executable, "-c", _LAUNCHER, *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    *out, kibibytes = done.stdout.splitlines()
    return Ended(done.returncode, "\n".join(out), done.stderr, int(kibibytes) / 1024)


def columns(rows: int, key: Any, value: Any = None) -> Any:
    """Writes that overlap nothing: they cost a few bytes for all rows, whichever they are."""
    zero = pa.repeat(pa.scalar(0, pa.int64()), rows)
    word = pa.DictionaryArray.from_arrays(zero.cast(pa.int32()), pa.array(["write"]))
    outcome = pa.DictionaryArray.from_arrays(zero.cast(pa.int32()), pa.array(["ok"]))
    return pa.table(
        {"session": zero.cast(pa.int32()), "op": word, "key": key, "value": zero if value is None else value,
         "invoke_ns": zero, "return_ns": zero, "outcome": outcome}
    )  # fmt: skip


def repeated(word: str, rows: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([word]))


def rows_of_nothing(path: Path) -> None:
    """25 million rows in less than a megabyte."""
    million = columns(10**6, repeated("k", 10**6))
    with parquet.ParquetWriter(path, million.schema, compression="zstd") as writer:
        for _ in range(25):
            writer.write_table(million)


def long_words_once(path: Path) -> None:
    """A word of 1 MiB for each of 300,000 rows: 300 GB, were it written out."""
    parquet.write_table(columns(300_000, repeated("k" * MIB, 300_000)), path, compression="zstd")


def long_words_plain(path: Path) -> None:
    """300 MiB of text that is one after the other in the file, compressed."""
    keys = pa.array(["k" * MIB] * 300)
    parquet.write_table(columns(300, keys), path, compression="zstd", use_dictionary=False)


def as_arrow(path: Path, table: Any, compression: str | None = None, stream: bool = False) -> None:
    options = ipc.IpcWriteOptions(compression=compression)
    new = ipc.new_stream if stream else ipc.new_file
    with new(str(path), table.schema, options=options) as out:
        out.write_table(table)


def many_batches(path: Path) -> None:
    """Many batches of little, 400 MiB in all."""
    table = columns(50_000, pa.array(["k" * 4] * 50_000))
    options = ipc.IpcWriteOptions(compression="zstd")
    with ipc.new_stream(str(path), table.schema, options=options) as out:
        for _ in range(140):
            out.write_table(table)


def one_batch(path: Path) -> None:
    """A batch of 12 million rows in a few kilobytes: how much it is shows when it has been unpacked."""
    rows = 12_000_000
    zero = pa.repeat(pa.scalar(0, pa.int64()), rows)
    as_arrow(
        path, columns(rows, repeated("k", rows)).append_column("observed", zero).append_column("expected", zero), "zstd"
    )


def the_same_word_twice(path: Path) -> None:
    words = pa.array(["k" * MIB, "k" * MIB, None])
    places = pa.array([0, 1, None] * 100_000, pa.int32())
    as_arrow(path, columns(300_000, pa.DictionaryArray.from_arrays(places, words)), "zstd")


def views_of_one_text(path: Path) -> None:
    """Views share their bytes: 16 a row, for texts of any length."""
    text = b"k" * MIB
    view = MIB.to_bytes(4, "little") + text[:4] + bytes(8)
    array = pa.Array.from_buffers(pa.string_view(), 2_000, [None, pa.py_buffer(view * 2_000), pa.py_buffer(text)])
    as_arrow(path, columns(2_000, array), "zstd")


def nulls_of_nothing(path: Path) -> None:
    """Rows of nulls take no bytes at all."""
    as_arrow(path, pa.table({name: pa.nulls(10**9) for name in ("session", "op", "invoke_ns", "return_ns", "outcome")}))


def lines(path: Path) -> None:
    path.write_text("session,op,invoke_ns,return_ns,outcome\n" + ",,,,\n" * 3_000_000)


def one_line(path: Path) -> None:
    path.write_text("session,op,invoke_ns,return_ns,outcome\n1,write,0,0," + "x" * (80 * MIB))


def header(path: Path) -> None:
    path.write_text(",".join(["op"] * 100_000))


BOMBS: list[tuple[Callable[[Path], None], tuple[str, ...], str]] = [
    (rows_of_nothing, (), "has 25,000,000 rows, and at most 20,000,000 are read. Hint: .* --max-rows 25000000"),
    (
        long_words_plain,
        ("--max-bytes", "64MiB"),
        "at least 300 MiB of memory, .* at most 64 MiB .* --max-bytes 301MiB",
    ),
    (
        many_batches,
        ("--max-bytes", "64MiB"),
        r"at least 6\d.* MiB of memory, and at most 64 MiB .* --max-bytes 6\dMiB",
    ),
    (one_batch, ("--max-bytes", "8MiB"), "at most 8 MiB are allowed.* --max-bytes"),
    (nulls_of_nothing, (), "at least 1,000,000,000 rows"),
    (lines, ("--max-rows", "1000000"), "has 3,000,000 rows, and at most 1,000,000 are read"),
    (one_line, ("--max-bytes", "64MiB"), "at least 80 MiB of memory, and at most 64 MiB"),
    (header, (), "The first line is over 65,536 bytes long"),
]


@pytest.mark.parametrize(("write", "options", "says"), BOMBS, ids=[write.__name__ for write, _, _ in BOMBS])
def test_what_is_too_much_is_refused_before_it_is_in_memory(
    write: Callable[[Path], None], options: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "history"
    write(path)
    ended = check(path, *options)
    assert (ended.code, ended.out) == (3, "")
    assert re.search(says, ended.err), ended.err
    assert ended.err.count("\n") == 1
    assert ended.mib < SMALL_MIB + 520, ended.mib


@pytest.mark.parametrize("write", [long_words_once, the_same_word_twice, views_of_one_text])
def test_what_a_file_has_once_is_kept_once(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "history"
    write(path)
    ended = check(path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.mib < SMALL_MIB + 200, ended.mib


def test_a_bound_that_is_raised_lets_it_in(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    rows = "".join(f"1,write,{n},{n},ok\n" for n in range(20))
    path.write_text("session,op,invoke_ns,return_ns,outcome\n" + rows)
    assert "has 20 rows" in check(path, "--max-rows", "19").err
    assert check(path, "--max-rows", "20").code != 3


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("7B", 7), ("2KiB", 2048), ("3 MiB", 3 * MIB), ("2GiB", 2**31)])
def test_sizes(text: str, size: int) -> None:
    assert bounds.parsed(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5GiB", "1e9", "\u0661", "1TiB", "9" * 30])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        bounds.parsed(text)


@pytest.mark.parametrize("size", [1, 1023, 1024, 64 * MIB, 64 * MIB + 1, 5 * 2**30 - 1])
def test_the_size_that_a_refusal_names_is_enough(size: int) -> None:
    with pytest.raises(TooMuch) as refused:
        Bounds(1, 0).refuse_bytes(size)
    option = str(refused.value).partition("--max-bytes ")[2].split()[0]
    Bounds(1, bounds.parsed(option)).refuse_bytes(size)
