"""The lab's Chaos Toolkit extension: faults, clusters, probes, and the control that measures a run."""

from __future__ import annotations

from .discovery import discover

__all__ = ["discover"]
