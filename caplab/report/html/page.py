"""The document: the table of all runs, and the section of each run, packed until it is opened."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from importlib import resources

from caplab.model.fields import Json

from .charts import specifications
from .markup import Markup, element, joined
from .overview import overview
from .run_section import section
from .stages import stages_json, stages_of
from .values import RunPage, SuitePage

# Nothing is fetched, whatever a name or a key in the results says.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none';"
    " form-action 'none'"
)
_NO_SCRIPT = "This page needs JavaScript to open a run, to sort and to filter. summary.md beside it has all tables."


def page(suite: SuitePage, library: str) -> str:
    """Build the whole page. library is the JavaScript of the charts; without it they are left out."""
    count = len(suite.runs)
    packed_runs = (_packed_run(number, run, count) for number, run in enumerate(suite.runs, 1))
    specs = json.dumps(specifications()) if library else "{}"
    body = joined(
        element("a", "to the content", href="#content", class_="skip"),
        element("noscript", element("p", _NO_SCRIPT, class_="note")),
        element("main", overview(suite), element("div", id="run"), id="content"),
        packed_runs,
        _script(packed(specs), "packed-specifications"),
        _script(packed(library), "packed-library") if library else Markup(""),
        Markup(f"<script>{_asset('page.js')}</script>"),
    )
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", f"caplab: {suite.suite}"),
        Markup(f"<style>{_asset('style.css')}</style>"),
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def packed(content: str) -> str:
    """Compress a text for the page: browsers unpack it in milliseconds."""
    return base64.b64encode(gzip.compress(content.encode(errors="replace"), 6, mtime=0)).decode()


def _packed_run(number: int, run: RunPage, count: int) -> Markup:
    data: dict[str, Json] = dict(run.view.data) if run.view else {}
    data["stages"] = stages_json(stages_of(run.report))
    content = {"html": section(number, run, count), "data": data}
    return _script(packed(json.dumps(content, separators=(",", ":"))), f"packed-{number}")


def _script(content: str, name: str) -> Markup:
    return Markup(f'<script type="text/plain" id="{name}">{content}</script>')


@cache
def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
