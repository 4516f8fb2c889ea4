"""The cluster in which `caplab run` makes its runs: chosen once, for the whole suite, and with the lab in it."""

from __future__ import annotations

import os

from ..kube.context import CONTEXT_VARIABLE, ContextRefused, pin


def choose_lab() -> str:
    """Choose the cluster for this process and its children (CAPLAB_CONTEXT); return its description. ContextRefused."""
    place = pin(os.environ.get(CONTEXT_VARIABLE))
    if not place.identity.serves_lab:
        raise ContextRefused(
            f"There is no lab in the cluster of {place.described()}. Hint: make up, or install its chart there."
        )
    if place.context:
        os.environ[CONTEXT_VARIABLE] = place.context
    return place.described()
