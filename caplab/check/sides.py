"""The sides of a cut: figures of each side's operations, in total and by route.

Where the fault parts the zones, each side promises something else: the minority of a quorum refuses what the majority
serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from caplab.model.fields import Json
from caplab.model.history import Table

from .columns import Integers, Mask, among
from .finding import Context
from .series import labelled

ALL = "all"  # a side's entry for all its routes

Figures = Callable[[Mask], Mapping[str, Json]]


def by_side(history: Table, context: Context, rows: Integers, figures: Figures) -> dict[str, Json]:
    """Compute, for each side of context.sides that has some of these rows, the figures of ALL and of each route.

    figures takes a mask over rows. A vantage of no side is left out.
    """
    route, words = labelled(history, "route", rows) if context.sides else (rows, [])
    figures_by_side: dict[str, Json] = {}
    for side, vantages in context.sides.items():
        here = among(history, "vantage", vantages)[rows]
        if here.any():
            by_route = {words[code]: figures(here & (route == code)) for code in np.unique(route[here]).tolist()}
            figures_by_side[side] = {ALL: figures(here), **by_route}
    return figures_by_side
