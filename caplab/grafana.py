"""Grafana's view of a run: a link to it, and annotations made through Grafana's HTTP API.

Nothing here changes a verdict, or takes longer than a few seconds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from .contract.names import SYSTEM_NAMESPACE
from .kube import context
from .model.runs import RunRecord, WallAnchor
from .plain_text import one_line
from .time_limit import TimeLimitExceeded, with_time_limit

URL_VARIABLE, TOKEN_VARIABLE = "CAPLAB_GRAFANA_URL", "CAPLAB_GRAFANA_TOKEN"
RUN_DASHBOARD = "caplab-run"  # its uid
SERVICE = "caplab-grafana"  # in the lab's own namespace
LOCAL = "http://localhost:3000"  # where `make dashboards` puts it
_MARGIN_MS = 5_000  # shown before a run and after it
_TIMEOUT = (1.0, 3.0)  # seconds: to connect, to answer
_ALL_SECONDS = 6.0  # for all annotations of a run: after that none is started
_MAX_ANNOTATIONS = 50  # annotations of a run
_MAX_ANSWER_BYTES = 1 << 16
_TAG = "caplab"

Annotation = Mapping[str, Any]


class NotMarked(Exception):
    """Annotations were not written; the message says why, and contains no secret."""


@dataclass(frozen=True, slots=True)
class Span:
    """When a run began and ended, in milliseconds since 1970."""

    began_ms: int
    ended_ms: int


@dataclass(frozen=True, slots=True)
class Grafana:
    """A Grafana at an address; without a token nothing is written to it."""

    url: str
    token: str = ""

    def __repr__(self) -> str:
        """Show everything but the token."""
        return f"Grafana({self.url!r})"

    def link(self, span: Span, labels: Mapping[str, str]) -> str:
        """Return the address of the Run dashboard at a run's time; labels: the values of its variables."""
        times = {"from": span.began_ms - _MARGIN_MS, "to": span.ended_ms + _MARGIN_MS}
        chosen = {f"var-{name}": value for name, value in labels.items()}
        return f"{self.url}/d/{RUN_DASHBOARD}?{urlencode({**times, **chosen})}"

    def mark(self, annotations: Sequence[Annotation]) -> None:
        """Write annotations; raise NotMarked with the reason and the number of missing ones.

        urllib3's time-outs are those of each piece of an answer: one that comes drop by drop has none.
        """
        try:
            with_time_limit(_ALL_SECONDS + sum(_TIMEOUT), lambda: self._mark(annotations), "annotations")
        except TimeLimitExceeded as error:
            raise NotMarked(f"some of {len(annotations)} annotations: {self.url} answers too slowly") from error

    def _mark(self, annotations: Sequence[Annotation]) -> None:
        end = time.monotonic() + _ALL_SECONDS
        with urllib3.PoolManager() as http:
            for number, annotation in enumerate(annotations[:_MAX_ANNOTATIONS]):
                problem = "they take too long" if time.monotonic() > end else self._post(http, annotation)
                if problem:
                    raise NotMarked(f"{len(annotations) - number} of {len(annotations)} annotations: {problem}")
        if len(annotations) > _MAX_ANNOTATIONS:
            left_out = len(annotations) - _MAX_ANNOTATIONS
            raise NotMarked(f"{left_out} of {len(annotations)} annotations: {_MAX_ANNOTATIONS} are enough")

    def _post(self, http: urllib3.PoolManager, annotation: Annotation) -> str:
        """Write one annotation; return why it failed, or ''. A redirect is not followed: it would leak the token."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        timeout = urllib3.Timeout(*_TIMEOUT)
        try:
            answer = http.request(
                "POST", f"{self.url}/api/annotations", body=json.dumps(annotation), headers=headers,
                timeout=timeout, retries=False, redirect=False, preload_content=False,
            )  # fmt: skip
            content = answer.read1(_MAX_ANSWER_BYTES)  # only what is there: the rest might arrive slowly
            answer.close()
        except (HTTPError, OSError, ValueError) as error:
            return self._one_line(f"{type(error).__name__}: {error}")
        return "" if answer.status == 200 else self._one_line(f"{answer.status} {content.decode(errors='replace')}")

    def _one_line(self, text: str) -> str:
        """Return an outside text in one line, with the token removed."""
        return f"{self.url} says: {one_line(text.replace(self.token, '***') if self.token else text)[:200]}"


def configured(environment: Mapping[str, str] | None = None) -> tuple[Grafana | None, str]:
    """Return the Grafana that the environment names, or why its settings cannot be used."""
    environment = os.environ if environment is None else environment
    url, token = environment.get(URL_VARIABLE, "").rstrip("/"), environment.get(TOKEN_VARIABLE, "")
    if not url:
        return None, f"{TOKEN_VARIABLE} is set, and {URL_VARIABLE} is not. Hint: set it too." if token else ""
    if problem := _problem_of(url, token):
        return None, problem
    return Grafana(url, token), ""


def find(environment: Mapping[str, str] | None = None) -> tuple[Grafana | None, str]:
    """Return the Grafana that the environment names, else the lab's own; None without a usable one.

    Also return the reason, '' if there is none.
    """
    named, problem = configured(environment)
    if named or problem:
        return named, problem
    return (Grafana(LOCAL) if _is_installed() else None), ""


def annotations_of(record: RunRecord, span: Span, name: str, verdict: str) -> list[Annotation]:
    """Build an annotation for the run, and one for each target of a fault from its beginning to its end. Pure.

    A fault without a known end lasts as long as the run.
    """
    whole = _region(span.began_ms, span.ended_ms, f"{name}: {verdict}", "run", verdict)
    faults = [
        _region(
            _unix_ms(window.injected_ns, record.wall_anchor),
            span.ended_ms if window.healed_ns is None else _unix_ms(window.healed_ns, record.wall_anchor),
            f"{window.kind} of {window.target}" + ("" if window.proven else " (without evidence)"),
            "fault",
            window.kind,
        )
        for window in record.fault_windows
    ]
    return [whole, *faults]


def _region(began_ms: int, ended_ms: int, text: str, *tags: str) -> Annotation:
    labels = {"text": one_line(text), "tags": [_TAG, *tags]}
    return {"dashboardUID": RUN_DASHBOARD, "time": began_ms, "timeEnd": max(began_ms, ended_ms), **labels}


def _unix_ms(monotonic_ns: int, anchor: WallAnchor) -> int:
    return (anchor.unix_ns + monotonic_ns - anchor.monotonic_ns) // 1_000_000


def _problem_of(url: str, token: str) -> str:
    """Return why an address or a token cannot be used, without showing password or token; '' if they can."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        has_user = "@" in parts.netloc
    except ValueError:
        usable, has_user = False, False
    if not usable or not (url.isascii() and url.isprintable()) or set(url) & set(" ?#"):
        return f"{URL_VARIABLE} is not the address of a Grafana. Hint: write it as http://HOST:PORT[/PATH]."
    if has_user:
        return f"{URL_VARIABLE} contains a user. Hint: leave it out, and set a token in {TOKEN_VARIABLE}."
    if not all(33 <= ord(char) <= 126 for char in token):
        return f"{TOKEN_VARIABLE} has characters that no token has. Hint: give it without blanks and line ends."
    return ""


def _is_installed() -> bool:
    """Return whether the pinned lab has a Grafana; False if none is pinned, or the question is not answered."""
    if not context.is_pinned():
        return False
    connect_seconds, read_seconds = _TIMEOUT
    client = context.pinned().client.limited(connect_seconds=connect_seconds, read_seconds=read_seconds)
    try:
        return client.get("v1", "Service", SYSTEM_NAMESPACE, SERVICE) is not None
    except Exception:  # any error of the client, also one of expired credentials: it is only a link
        return False
