"""meta-NN.json beside the segments: what is needed to read the rows of incarnation NN."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from caplab.contract.objects import Levels, TransactionSettings
from caplab.model.runs import WallAnchor

from .. import clock
from ..cache.spec import CacheSpec
from ..load.schedule import Schedule
from ..load.workloads import INCARNATIONS, Writer
from ..spec import ClientOptions, ProbeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """One incarnation: its writer, its clock and its schedule. closed: it ended in order, with all rows written."""

    writer: Writer
    schedule: Schedule
    boot_id: str
    wall_anchor: WallAnchor
    closed: bool = False


def reserve(folder: Path) -> int:
    """Reserve the next incarnation of a run's folder. Raises ValueError when all are used up."""
    folder.mkdir(parents=True, exist_ok=True)
    for incarnation in range(INCARNATIONS):
        try:
            _path(folder, incarnation).open("x").close()
        except FileExistsError:
            continue
        return incarnation
    raise ValueError(f"{folder} has {INCARNATIONS} incarnations already. Hint: begin a new run.")


def begin(writer: Writer, schedule: Schedule) -> Meta:
    """Make the meta of an incarnation that begins now."""
    return Meta(writer=writer, schedule=schedule, boot_id=clock.boot_id(), wall_anchor=clock.wall_anchor())


def write_meta(folder: Path, meta: Meta) -> None:
    """Write or replace a meta file, which is whole at any time."""
    write_json(_path(folder, meta.writer.incarnation), asdict(meta))


def write_json(path: Path, plain: Any) -> None:
    """Write or replace a file of JSON; a concurrent reader gets it whole."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(plain, indent=1) + "\n")
    draft.replace(path)


def read_plain(folder: Path) -> list[dict[str, Any]]:
    """Read a folder's meta files; incarnations that were reserved but never began are left out, and so are scans."""
    texts = [path.read_text() for path in sorted(folder.glob("meta-*.json"))]
    return [json.loads(text) for text in texts if text]


def read_metas(folder: Path) -> list[Meta]:
    """Read all metas of a folder, as `read_plain` does."""
    return [_from_json(plain) for plain in read_plain(folder)]


def _from_json(plain: dict[str, Any]) -> Meta:
    writer, spec = plain["writer"], plain["writer"]["spec"]
    parts = {
        "routes": tuple(spec["routes"]),
        "vantages": tuple(spec["vantages"]),
        "levels": Levels(**spec["levels"]),
        "client": _client(spec.get("client", {})),  # an older prober's meta has no such entry
        "cache": CacheSpec(**spec["cache"]) if spec.get("cache") else None,
        "transactions": TransactionSettings(**spec["transactions"]) if spec.get("transactions") else None,
    }
    return Meta(
        writer=Writer(ProbeSpec(**{**spec, **parts}), writer["vantage"], writer["incarnation"]),
        schedule=Schedule(**plain["schedule"]),
        boot_id=plain["boot_id"],
        wall_anchor=WallAnchor(**plain["wall_anchor"]),
        closed=plain["closed"],
    )


def _client(plain: dict[str, Any]) -> ClientOptions:
    return ClientOptions(**{**plain, "skewed_vantages": tuple(plain.get("skewed_vantages", ()))})


def _path(folder: Path, incarnation: int) -> Path:
    return folder / f"meta-{incarnation:02d}.json"
