"""How many random cases a test tries: all in `make prove`, a quarter in the gate."""

from __future__ import annotations

import os

THOROUGH = "CAPLAB_THOROUGH"  # in the environment: 1 for all


def cases(thorough: int) -> int:
    """Return how many cases to try where so many are thorough."""
    return thorough if os.environ.get(THOROUGH) == "1" else -(-thorough // 4)
