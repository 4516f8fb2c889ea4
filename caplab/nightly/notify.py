"""Tells others what came of a night: a webhook's URL, an Alertmanager. Nothing here changes what came of it."""

from __future__ import annotations

import datetime
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from ..within import TooLong, within
from .report import Report

WEBHOOK_VARIABLE, ALERTMANAGER_VARIABLE = "CAPLAB_WEBHOOK_URL", "CAPLAB_ALERTMANAGER_URL"  # they may be secrets
_SECONDS = 10.0
_ALERT_HOURS = 26  # until the next night has told how it is now
_MOST_NOTES = 20


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An address is told what it was given, and no other one."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""


def message(report: Report, folder: str) -> dict[str, Any]:
    """What a webhook is sent; `text` is what chats show: pure."""
    notes = list(report.notes[:_MOST_NOTES])
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
    """What an Alertmanager is sent: an alert for each outcome that is not valid: pure."""
    ends = now + datetime.timedelta(hours=_ALERT_HOURS)
    summary = " ".join([f"Suite {report.suite}: {report.outcome}.", *report.notes[:_MOST_NOTES]])
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


def tell(webhook: str, alertmanager: str, report: Report, folder: str) -> list[str]:
    """Send both, as far as there are addresses; a sentence for each that could not be told, without its address."""
    now = datetime.datetime.now(datetime.UTC)
    wanted: list[tuple[str, str, Any]] = []
    if webhook:
        wanted.append(("webhook", webhook, message(report, folder)))
    if alertmanager and (sent := alerts(report, folder, now)):
        wanted.append(("Alertmanager", f"{alertmanager.rstrip('/')}/api/v2/alerts", sent))
    return [f"The {name} was not told: {problem}." for name, url, body in wanted if (problem := _post(url, body))]


def _post(url: str, body: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return why the message was not taken, or ''. A socket's time-out bounds each read only; this bounds them all."""
    try:
        return within(_SECONDS, lambda: _asked(url, body), "notification")
    except TooLong:
        return f"it has not answered within {_SECONDS:g} s"


def _asked(url: str, body: Mapping[str, Any] | Sequence[Any]) -> str:
    """Why it was not taken, or ''. The address may be a secret: it is not in the sentence."""
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            return "its address is none of http or https"
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
