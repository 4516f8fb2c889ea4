"""The record of a night: nightly.json in the suite's folder, and the note of the one that is under way."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import asdict, dataclass

from ..files.documents import within_depth
from ..model.fields import FieldError, Fields
from ..plain_text import one_line

REPORT, PAGE, UNDER_WAY = "nightly.json", "nightly.md", "under-way.json"
CHANGES, TREND = "changes.md", "trend.html"  # the comparison, and the figures over time
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_MAX_NAME_LENGTH, _MAX_FIELD_LENGTH = 60, 200  # letters
INTERRUPTED = "interrupted"  # the outcome of a night whose runner left no report


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """A night that has begun (UTC, ISO), with its pod and its Job."""

    suite: str
    began: str
    runner: str
    job: str

    @property
    def folder(self) -> str:
        """The name of its folder if its suite has left none."""
        began = datetime.datetime.fromisoformat(self.began).astimezone(datetime.UTC)
        name = _NOT_IN_NAMES.sub("-", self.suite.rpartition("/")[2])[:_MAX_NAME_LENGTH]
        return f"{began:%Y%m%d-%H%M%S}-{name or 'unknown'}"

    def to_json(self) -> bytes:
        """Serialize it."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, where: str, content: bytes) -> UnderWay:
        """Read it; FieldError names what is wrong."""
        fields = _fields(where, content)
        note = cls(
            **{name: _short(fields.text(name)) for name in ("suite", "began", "runner")},
            job=_short(fields.optional_text("job") or ""),
        )
        if not _is_moment(note.began):
            raise fields.error("began", "a moment with its time zone")
        return note


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of a night. outcome: valid, the outcomes by commas, or INTERRUPTED; codes are -1 if there is none."""

    suite: str
    began: str
    ended: str
    runner: str
    outcome: str
    run_code: int = -1
    compare_code: int = -1
    notes: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Serialize it."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, where: str, content: bytes) -> Report:
        """Read it; FieldError names what is wrong."""
        fields = _fields(where, content)
        return cls(
            **{name: fields.text(name) for name in ("suite", "began", "ended", "runner", "outcome")},
            run_code=fields.integer("run_code"),
            compare_code=fields.integer("compare_code"),
            notes=tuple(fields.texts("notes")),
        )


def now() -> str:
    """Return the current time in the reports' format."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _short(text: str) -> str:
    """Shorten text from outside for messages and names."""
    return one_line(text)[:_MAX_FIELD_LENGTH]


def _is_moment(text: str) -> bool:
    try:
        moment = datetime.datetime.fromisoformat(text)
        moment.astimezone(datetime.UTC)
        return moment.tzinfo is not None
    except (OverflowError, ValueError):
        return False


def _fields(where: str, content: bytes) -> Fields:
    try:
        return Fields.of(where, within_depth(json.loads(content)))
    except (ValueError, RecursionError) as error:
        raise FieldError(f"{where}: not JSON: {error}") from error
