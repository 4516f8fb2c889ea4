"""The JavaScript that draws the charts of report.html: Vega-Lite, as the package vl-convert-python carries it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from types import ModuleType

from caplab_cluster.paths import Cache

from ..command_error import CommandError
from ..model.fields import Json
from .documents import write_whole

_PACKAGE = "vl-convert-python"


def chart_library() -> str:
    """Return the library's text; '' if the package is not installed, as in the lab's smaller images.

    Bundling it takes a second or more, so that it is kept in the user's cache, by the package's version.
    """
    if importlib.util.find_spec("vl_convert") is None:
        return ""
    kept = Cache.from_environment().root / f"charts-{metadata.version(_PACKAGE)}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return _bundled(kept)


def svg_of(chart: Mapping[str, Json]) -> str:
    """Draw a chart that has its own data as SVG. CommandError if the package is not installed."""
    return str(_library().vegalite_to_svg(dict(chart)))


def png_of(chart: Mapping[str, Json]) -> bytes:
    """Draw a chart that has its own data as PNG, with two pixels for each of the chart's."""
    return bytes(_library().vegalite_to_png(dict(chart), scale=2))


def _library() -> ModuleType:
    try:
        return importlib.import_module("vl_convert")
    except ImportError as error:
        raise CommandError(f"Charts need {_PACKAGE}, which is not installed. Hint: pip install {_PACKAGE}.") from error


def _bundled(kept: Path) -> str:
    import vl_convert  # noqa: PLC0415  # 80 MB that only the first page needs

    library = str(vl_convert.javascript_bundle(None))  # type: ignore[arg-type]  # its types lack the default: all of it
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, library)
    return library
