"""Layout of panels: lines of panels, from left to right, each line filling Grafana's 24 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.models import dashboard

COLUMNS = 24
NARROWEST = 4  # columns: on a laptop (1366 pixels) about 220 of them, enough for a figure and its title


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side, of one height; widths are in columns and fill the line."""

    height: int
    panels: tuple[tuple[int, dashboard.Panel], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under a heading."""

    title: str
    lines: tuple[Line, ...]


def line(height: int, *panels: tuple[int, dashboard.Panel]) -> Line:
    """Make a line. Raises ValueError if it does not fill its 24 columns."""
    width = sum(columns for columns, _ in panels)
    if width != COLUMNS:
        raise ValueError(f"The line of '{panels[0][1].title}' is {width} columns wide; make it {COLUMNS}.")
    return Line(height, panels)


def section(title: str, *lines: Line) -> Section:
    """Make a section of lines under a heading."""
    return Section(title, lines)


def place(sections: Sequence[Section]) -> list[dashboard.Panel | dashboard.RowPanel]:
    """Return the panels with their places and ids, section below section."""
    placed: list[dashboard.Panel | dashboard.RowPanel] = []
    y = 0
    for part in sections:
        heading = dashboard.GridPos(h=1, w=COLUMNS, x=0, y=y)
        placed.append(dashboard.RowPanel(title=part.title, id_val=len(placed) + 1, grid_pos=heading))
        y += 1
        for line in part.lines:
            x = 0
            for width, panel in line.panels:
                panel.grid_pos = dashboard.GridPos(h=line.height, w=width, x=x, y=y)
                panel.id_val = len(placed) + 1
                placed.append(panel)
                x += width
            y += line.height
    return placed
