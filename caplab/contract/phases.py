"""Phases of objects, as their status names them."""

from __future__ import annotations

PENDING, ACTIVE, HEALING, HEALED, FAILED, GONE = "Pending", "Active", "Healing", "Healed", "Failed", "Gone"
RUNNING, DONE = "Running", "Done"
CREATING, READY, DEGRADED, DOWN = "Creating", "Ready", "Degraded", "Down"

FAULT_PHASES = (PENDING, ACTIVE, HEALING, HEALED, FAILED)
FAULT_OVER = frozenset({HEALED, FAILED})  # the fault holds nothing any more
FAULT_LIVE = frozenset(FAULT_PHASES) - FAULT_OVER

TARGET_STATES = (ACTIVE, HEALED, FAILED, GONE)  # of an entry of a Fault's status.targets; none: not begun
TARGET_ENDED = frozenset({HEALED, FAILED, GONE})

PROBE_PHASES = (PENDING, RUNNING, DONE, FAILED)  # at one vantage
PROBE_ENDED = frozenset({DONE, FAILED})

RUN_PHASES = (RUNNING, DONE, FAILED)

CLUSTER_PHASES = (CREATING, READY, DEGRADED, DOWN)
