"""The record of a member's disk: its data, and the role it had when that was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_APPEND_ONLY = "appendonlydir"
_MANIFEST = "appendonly.aof.manifest"
_INCREMENTAL = "i"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The data and the last role of one member."""

    host: str
    follows: str = ""  # the host that it followed last; its own: it was primary; '': it never ran
    since: float = 0.0  # when it was told to, in seconds of Unix time
    # How far its file has the replication stream, in bytes; after a crash only the stream's data is counted.
    offset: int = 0
    has_data: bool = False


def read_record(data: Path, host: str, keeps: bool) -> Record:
    """Read the record from the member's volume; keeps: a restart uses the data that is there. Raises OSError."""
    configuration = data / "redis.conf"
    if not configuration.exists():
        follows, since = "", 0.0
    else:
        follows, since = _followed(configuration.read_text(errors="replace")) or host, configuration.stat().st_mtime
    offset = _offset(data / _APPEND_ONLY) if keeps else None
    return Record(host=host, follows=follows, since=since, offset=offset or 0, has_data=offset is not None)


def _followed(configuration: str) -> str:
    """Find the primary in redis.conf, which Redis rewrites whenever a Sentinel changes its role; '': none."""
    lines = [line.split() for line in configuration.splitlines()]
    return next((words[1] for words in reversed(lines) if words[:1] == ["replicaof"] and len(words) > 1), "")


def _offset(folder: Path) -> int | None:
    """Compute where in the replication stream the append-only file ends, by its manifest; None: there is no file."""
    try:
        lines = (folder / _MANIFEST).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    entries = [_entry(line) for line in lines if line.strip()]
    last = next((entry for entry in reversed(entries) if entry.get("type") == _INCREMENTAL), None)
    if last is None:
        return 0 if entries else None
    if "endoffset" in last:  # Redis shut down cleanly
        return int(last["endoffset"])
    file = folder / last.get("file", "")
    return int(last.get("startoffset", 0)) + (file.stat().st_size if file.is_file() else 0)


def _entry(line: str) -> dict[str, str]:
    words = line.split()
    return dict(zip(words[::2], words[1::2], strict=False))
