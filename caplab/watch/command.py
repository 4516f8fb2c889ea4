"""`caplab watch`: draws once a second until Ctrl-C, or once."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from caplab_cluster.node_loss.store import NodeLossStore
from caplab_cluster.paths import Cache
from rich.console import Console, Group
from rich.live import Live

from caplab.kube.context import pinned
from caplab.plain_text import one_line

from . import sparkline
from .collector import Collector
from .drawing import Paper, drawn
from .lab_client import LabClient

SOMETHING_UNKNOWN = 3  # exit code of --once
_ONCE_SECONDS = 7.0  # for two answers of every source, or none
_LOOK_SECONDS = 0.1
_OFFSET_SECONDS = 0.6  # past the full second, when every source was asked


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """The command line's options; namespace '': all of them."""

    once: bool = False
    namespace: str = ""


def watch(options: WatchOptions, place: str) -> int:
    """Show the pinned lab and return the exit code. place: its description."""
    collector = Collector(
        LabClient(pinned().client), NodeLossStore.of(Cache.from_environment()), one_line(place), options.namespace
    )
    collector.start()
    try:
        if options.once or not is_live(_console()):
            return _once(collector, _console())
        for name in ("COLUMNS", "LINES"):  # a shell's initial size, which would be taken for good
            os.environ.pop(name, None)
        _live(collector, _console())
    finally:
        collector.stop()
    return 0


def _console() -> Console:
    """Return the console of the terminal, or of the other output, as the environment describes it."""
    return Console(highlight=False, markup=False, emoji=False)


def is_live(console: Console) -> bool:
    """Return whether it can be redrawn."""
    return sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal


def _once(collector: Collector, console: Console) -> int:
    """Print one picture, of any height; return the exit code."""
    end = time.monotonic() + _ONCE_SECONDS
    while not collector.has_looked_twice() and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
    paper = Paper(console.width, None, glyphs_of(console))
    picture = collector.picture(paper)
    for line in drawn(picture, paper):
        console.print(line, overflow="ignore", no_wrap=True, crop=False)
    return 0 if picture.is_whole else SOMETHING_UNKNOWN


def _live(collector: Collector, console: Console) -> None:
    """Draw until Ctrl-C or SIGTERM, and restore the terminal."""
    resized = threading.Event()
    try:
        with _quiet(), _on_resize(resized), Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                size = console.size
                paper = Paper(size.width, size.height, glyphs_of(console))
                live.update(Group(*drawn(collector.picture(paper), paper)), refresh=True)
                resized.wait(_until_next(time.monotonic()))
                resized.clear()
    except KeyboardInterrupt:
        return


def glyphs_of(console: Console) -> sparkline.Glyphs:
    """Return the glyphs that the terminal's encoding has."""
    return sparkline.FINE if console.encoding.startswith("utf") else sparkline.ASCII


def _until_next(now: float) -> float:
    """Return the seconds to the next moment at which a picture is drawn."""
    return 1 - (now - _OFFSET_SECONDS) % 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep log lines out of the picture: it shows itself which source is silent."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _on_resize(resized: threading.Event) -> Iterator[None]:
    """Redraw at once when the terminal's size changes."""
    before = signal.signal(signal.SIGWINCH, lambda _number, _frame: resized.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
