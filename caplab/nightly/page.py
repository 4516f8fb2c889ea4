"""A small web page that lists the stored nights and opens each summary: it only reads."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from markdown_it import MarkdownIt

from ..bounded_server import BoundedServer
from ..files.results import JUNIT, SUMMARY, VERDICT
from ..files.results import PAGE as SUITE_PAGE
from ..model.fields import FieldError, Fields
from .folders import StoredSuite, named
from .report import CHANGES, PAGE, REPORT, TREND, Report
from .store import Store

MAX_BYTES = 32 << 20
_MAX_LISTED = 200  # each one's report is read
_SECONDS = 30  # a client's time for its request
_PAGES = (PAGE, SUMMARY, CHANGES)  # the first of these that exists is opened
_OWN_SCRIPTS = (SUITE_PAGE, TREND)
_TEXTS = {
    **dict.fromkeys(_OWN_SCRIPTS, "text/html"),
    VERDICT: "application/json",
    REPORT: "application/json",
    JUNIT: "application/xml",
}
# No script runs, and nothing is fetched; the scripts of a suite's page and of a trend run in an isolated sandbox.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_VERDICTS = ("valid", "invalid", "unknown")
_NOT_REPORTED, _NOT_COMPARED = "not reported", "not compared"
# The folds of the lab's own pages, as Markdown renders them with HTML escaped.
_FOLD = re.compile(r"<p>&lt;details&gt;&lt;summary&gt;([^<]*?)&lt;/summary&gt;</p>")
_FOLD_END = "<p>&lt;/details&gt;</p>"
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#1d2733}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid #c8d0d8;padding:.25em .6em}"
    "a{color:#0b5cad}.valid{color:#1a7f37}.bad{color:#b42318}.unsure{color:#8a5a00}"
    "summary{cursor:pointer;margin:1em 0}h1,h2,p,li{overflow-wrap:anywhere}.whole{white-space:nowrap}"
    "@media(max-width:40em){body{margin:1em auto;padding:0 .6em}td,th{padding:.2em .35em;font-size:.9em}}"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    status: HTTPStatus
    content: bytes
    kind: str = "text/html"
    policy: str = _POLICY


def answer(store: Store, path: str) -> Answer:
    """Answer a path: / lists, /FOLDER/ opens the summary, /FOLDER/FILE one of the files that are named above."""
    try:
        parts = unquote(urlsplit(path).path, errors="surrogateescape").strip("/").split("/")
        if parts == [""]:
            return _listed(store)
        if not named_suite(parts[0]):
            return _missing()
        if len(parts) == 1:
            return _opened(store, parts[0])
        return _file(store, parts[0], parts[1]) if len(parts) == 2 else _missing()
    except FileNotFoundError:
        return _missing()
    except (OSError, ValueError) as error:  # ValueError: FieldError, and a path with a NUL
        text = f"<h1>The results cannot be read</h1><p>{html.escape(str(error))}</p>"
        return Answer(HTTPStatus.BAD_GATEWAY, _whole("results", text))


def named_suite(name: str) -> bool:
    """Return whether a name is one that suites' folders have: no other folder is ever opened."""
    return "/" not in name and "\\" not in name and named(Path(name)) is not None


def meant(listening: str, host: str) -> bool:
    """Return whether a request names this server.

    A server that listens on a loopback is reached by that name alone: a page from elsewhere, whose own name leads here
    by now (DNS rebinding), would read the results with the user's browser.
    """
    try:
        return listening not in _LOOPBACK or urlsplit(f"//{host}").hostname in _LOOPBACK
    except ValueError:
        return False


def server(store: Store, host: str, port: int) -> BoundedServer:
    """Return the server, listening."""

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "caplab", ""

        def do_GET(self) -> None:  # the base class's name
            self._answer(with_content=True)

        def do_HEAD(self) -> None:
            self._answer(with_content=False)

        def _answer(self, with_content: bool) -> None:
            page_answer = answer(store, self.path) if meant(host, self.headers["Host"] or "") else _ELSEWHERE
            self.send_response(page_answer.status)
            for name, value in (
                ("Content-Type", f"{page_answer.kind}; charset=utf-8"),
                ("Content-Length", str(len(page_answer.content))),
                ("Content-Security-Policy", page_answer.policy),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"),
                ("Cache-Control", "no-store"),
            ):
                self.send_header(name, value)
            self.end_headers()
            if with_content:
                self.wfile.write(page_answer.content)

        def log_message(self, *_: Any) -> None:
            """Keep no access log."""

    return _Server((host, port), Handler)


class _Server(BoundedServer):
    request_seconds = _SECONDS

    def handle_error(self, *_: Any) -> None:
        """Ignore an error: the client has gone, or its connection was closed."""


def _listed(store: Store) -> Answer:
    newest = list(reversed(store.suites()))
    rows = "".join(_row(store, suite) for suite in newest[:_MAX_LISTED])
    head = "<tr><th>begun (UTC)</th><th>suite</th><th>outcome</th><th>size</th><th>files</th></tr>"
    more = f"<p>and {len(newest) - _MAX_LISTED} older ones</p>" if len(newest) > _MAX_LISTED else ""
    text = f"<h1>Nights</h1>{f'<table>{head}{rows}</table>{more}' if rows else '<p>There are no nights yet.</p>'}"
    return Answer(HTTPStatus.OK, _whole("nights", text))


def _row(store: Store, kept: StoredSuite) -> str:
    name = quote(kept.path.name, safe="", errors="surrogateescape")  # of Linux, names are bytes
    outcome = _outcome(store, kept.path.name)
    kind = {"valid": "valid", "unknown": "unsure", _NOT_REPORTED: "unsure"}.get(outcome.partition(", not ")[0], "bad")
    begun = f'<span class="whole">{kept.begun:%Y-%m-%d}</span> {kept.begun:%H:%M}'
    return (
        f'<tr><td><a href="/{name}/">{begun}</a></td><td>{html.escape(kept.suite)}</td>'
        f'<td class="{kind}">{html.escape(outcome)}</td><td class="whole">{kept.size_bytes / 1e6:,.1f} MB</td>'
        f"<td>{_links(store, kept.path.name)}</td></tr>"
    )


def _links(store: Store, folder: str) -> str:
    """Link the files of a suite that are shown beside its page."""
    name, names = quote(folder, safe="", errors="surrogateescape"), _names(store, folder)
    there = [file for file in (*_TEXTS, CHANGES) if file in names]
    return " ".join(f'<a href="/{name}/{file}">{file}</a>' for file in there)


def _outcome(store: Store, folder: str) -> str:
    """Return a night's outcome by its report; without one, as `caplab run` alone leaves it, by its verdict."""
    try:
        return Report.from_json(REPORT, store.read(f"{folder}/{REPORT}", MAX_BYTES)).outcome
    except FileNotFoundError:
        return _verdict(store, folder)
    except (PermissionError, FieldError):
        return _NOT_REPORTED


def _verdict(store: Store, folder: str) -> str:
    try:
        content = json.loads(store.read(f"{folder}/{VERDICT}", MAX_BYTES))
        verdict = Fields.of(VERDICT, content).text("verdict")
    except (FileNotFoundError, PermissionError, FieldError, ValueError, RecursionError):
        return _NOT_REPORTED
    return f"{verdict}, {_NOT_COMPARED}" if verdict in _VERDICTS else _NOT_REPORTED


def _names(store: Store, folder: str) -> list[str]:
    """Return a suite's file names; none if the folder has gone or is unreadable: the others are still listed."""
    try:
        return store.names(folder)
    except (FileNotFoundError, PermissionError):
        return []


def _opened(store: Store, folder: str) -> Answer:
    there = store.names(folder)
    file = next((page for page in _PAGES if page in there), None)
    return _missing() if file is None else _file(store, folder, file)


def _file(store: Store, folder: str, file: str) -> Answer:
    if file not in _PAGES and file not in _TEXTS:
        return _missing()
    content = store.read(f"{folder}/{file}", MAX_BYTES)
    if file in _TEXTS:
        return Answer(HTTPStatus.OK, content, _TEXTS[file], _SANDBOX if file in _OWN_SCRIPTS else _POLICY)
    name = f'<a href="/{quote(folder, safe="", errors="surrogateescape")}/">{html.escape(folder)}</a>'
    head = f'<p><a href="/">all nights</a> · {name} · {_links(store, folder)}</p>'
    return Answer(HTTPStatus.OK, _whole(folder, f"{head}{as_html(content)}"))


def as_html(markdown: bytes) -> str:
    """Convert Markdown with tables; HTML in it is shown as text, except the folds of the lab's own pages."""
    text = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown.decode(errors="replace"))
    return _FOLD.sub(r"<details><summary>\1</summary>", str(text)).replace(_FOLD_END, "</details>")


def _whole(title: str, body: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>caplab: {html.escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    ).encode(errors="replace")


def _missing() -> Answer:
    return Answer(HTTPStatus.NOT_FOUND, _whole("not here", "<h1>There is no such page</h1>"))


_ELSEWHERE = Answer(
    HTTPStatus.MISDIRECTED_REQUEST, _whole("not here", "<h1>This page is at localhost, by no other name</h1>")
)
