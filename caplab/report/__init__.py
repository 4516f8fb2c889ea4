"""Reports: runs and their verdicts in, text out; they read no file and need no cluster."""

from __future__ import annotations

from .summary import summary_markdown, verdict_json
from .terminal import render_run, render_suite
from .values import ClockCheck, RunReport

__all__ = ["ClockCheck", "RunReport", "render_run", "render_suite", "summary_markdown", "verdict_json"]
