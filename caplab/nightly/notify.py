"""Reports a night's result to a webhook's URL and to an Alertmanager. Nothing here changes the result."""

from __future__ import annotations

import datetime
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from ..time_limit import TimeLimitExceeded, with_time_limit
from .report import Report

WEBHOOK_VARIABLE, ALERTMANAGER_VARIABLE = "CAPLAB_WEBHOOK_URL", "CAPLAB_ALERTMANAGER_URL"  # they may be secrets
_SECONDS = 10.0
_ALERT_HOURS = 26  # until the next night's report
_MAX_NOTES = 20


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A handler that follows no redirect: the report goes to the given address only."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow no redirect."""


def message(report: Report, folder: str) -> dict[str, Any]:
    """Build the webhook's message; chats show its `text`. Pure."""
    notes = list(report.notes[:_MAX_NOTES])
    text = f"caplab {report.suite}: {report.outcome} ({folder})" + "".join(f"\n{note}" for note in notes)
    return {
        "text": text,
        "suite": report.suite,
        "outcome": report.outcome,
        "folder": folder,
        "began": report.began,
        "ended": report.ended,
        "notes": notes,
    }


def alerts(report: Report, folder: str, now: datetime.datetime) -> list[dict[str, Any]]:
    """Build Alertmanager's alerts, one for each outcome that is not valid. Pure."""
    ends = now + datetime.timedelta(hours=_ALERT_HOURS)
    summary = " ".join([f"Suite {report.suite}: {report.outcome}.", *report.notes[:_MAX_NOTES]])
    return [
        {
            "labels": {"alertname": "CaplabNightly", "suite": report.suite, "outcome": outcome, "severity": "warning"},
            "annotations": {"summary": summary, "folder": folder},
            "startsAt": now.isoformat(),
            "endsAt": ends.isoformat(),
        }
        for outcome in report.outcome.split(", ")
        if outcome != "valid"
    ]


def send(webhook: str, alertmanager: str, report: Report, folder: str) -> list[str]:
    """Send both, if they have addresses; return a sentence for each failure, without its address."""
    now = datetime.datetime.now(datetime.UTC)
    wanted: list[tuple[str, str, Any]] = []
    if webhook:
        wanted.append(("webhook", webhook, message(report, folder)))
    if alertmanager and (sent := alerts(report, folder, now)):
        wanted.append(("Alertmanager", f"{alertmanager.rstrip('/')}/api/v2/alerts", sent))
    return [
        f"The report to the {name} failed: {problem}." for name, url, body in wanted if (problem := _post(url, body))
    ]


def _post(url: str, body: Mapping[str, Any] | Sequence[Any]) -> str:
    """Post a body; return why it failed, or ''. A socket's time-out bounds each read only; this bounds them all."""
    try:
        return with_time_limit(_SECONDS, lambda: _reason_of_post(url, body), "notification")
    except TimeLimitExceeded:
        return f"it has not answered within {_SECONDS:g} s"


def _reason_of_post(url: str, body: Mapping[str, Any] | Sequence[Any]) -> str:
    """Post a body; return why it failed, or ''. The address may be a secret: it is not in the sentence."""
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            return "its address is neither http nor https"
        headers = {"Content-Type": "application/json", "User-Agent": "caplab"}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"it answered {error.code}"
    except urllib.error.URLError as error:
        return f"it does not answer ({type(error.reason).__name__})"
    except (OSError, HTTPException, ValueError) as error:
        return f"it does not answer ({type(error).__name__})"
