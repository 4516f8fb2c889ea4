"""A folder of Jepsen's store: the history of one test, in whichever file it is, and what Jepsen found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...model.bounds import Bounds
from .edn import EdnError, forms
from .reading import read
from .recording import Recording

HISTORIES = ("history.edn", "history.jsonl", "history.json", "history.txt", "jepsen.log")
_BINARY = ("test.jepsen", "test.fressian")
_RESULTS = "results.edn"
_MAX_RESULTS_BYTES = 64 << 20
_VERDICTS = {"True": "valid", "False": "invalid", "unknown": "unknown"}
_DEFAULT = Bounds()


def is_store(folder: Path) -> bool:
    """Return whether a folder is that of one of Jepsen's tests."""
    return any((folder / name).is_file() for name in (*HISTORIES, *_BINARY))


def stores_in(folder: Path) -> tuple[Path, ...]:
    """Return the tests in a folder: of one name, or of all names; latest and current, which are links, are left out."""
    inner = _folders(folder)
    deeper = [test for name in inner if not is_store(name) for test in _folders(name)]
    return tuple(test for test in sorted([*inner, *deeper]) if is_store(test))


def history_of(folder: Path) -> Path:
    """Return the file with a test's history. ValueError if it has none that can be read."""
    files = [folder / name for name in HISTORIES if (folder / name).is_file()]
    if files:  # one that is empty is of a test that crashed while it was written
        return next((file for file in files if file.stat().st_size), files[0])
    raise ValueError(
        f"It has no {HISTORIES[0]}, only Jepsen's binary {_BINARY[0]}."
        f" Hint: let Jepsen write {HISTORIES[0]}: it does so when a test ends."
    )


def read_store(folder: Path, bounds: Bounds = _DEFAULT) -> Recording:
    """Read a test's history, with Jepsen's own verdict as a note; raises what read does."""
    recording = read(history_of(folder), bounds)
    verdict = _verdict(folder / _RESULTS)
    return replace(recording, notes=(*recording.notes, verdict)) if verdict else recording


def _folders(folder: Path) -> list[Path]:
    return [inner for inner in folder.iterdir() if inner.is_dir() and not inner.is_symlink()]


def _verdict(results: Path) -> str:
    """Return what Jepsen found, as a sentence; '' if it is not there."""
    try:
        if not results.is_file() or results.stat().st_size > _MAX_RESULTS_BYTES:
            return ""
        with results.open(encoding="utf-8") as file:
            found = next((form for _, form in forms(file)), None)
    except (OSError, EdnError, UnicodeDecodeError, RecursionError):
        return f"{_RESULTS} cannot be read"
    word = _VERDICTS.get(str(found.get("valid?"))) if isinstance(found, dict) else None
    return f"Jepsen's own verdict in {_RESULTS}: {word}" if word else ""
