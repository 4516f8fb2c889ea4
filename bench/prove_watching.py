"""Show the cost of watching the lab, and that it changes nothing: docs/evidence/watching.md.

python bench/prove_watching.py

Processor time and memory beside the same lab unwatched; thirty runs, which have hardly more series than three; the
suite core watched and unwatched; ten minutes of load without a false alarm. Takes about eighty minutes; the lab's
cluster must be up. Exits with 1 if a promise is broken.
"""

from __future__ import annotations

import os
import sys

from caplab_cluster.paths import REPOSITORY
from evidence import made_by, printed_by_tests

PARTS = {
    "What it costs": ("test_watch_cost.py", ""),
    "Series": ("test_watched_runs.py", "series"),
    "Verdicts of core": ("test_watched_runs.py", "verdicts"),
    "No false alarm": ("test_runs.py", "no_alert"),
}
EVIDENCE = REPOSITORY / "docs" / "evidence" / "watching.md"


def main() -> int:
    """Run every part, or the named ones, and keep what they print."""
    load, page, well = os.getloadavg()[0], [], True
    for title, (file, names) in PARTS.items():
        passed, printed = printed_by_tests(f"tests/kind/{file}", "-m", "long", *(["-k", names] if names else []))
        print(printed, flush=True)
        well &= passed
        page += [f"## {title}: {'as promised' if passed else 'NOT as promised'}", "", "```", printed, "```", ""]
    head = [f"# Watching: {'as promised' if well else 'NOT as promised'}", "", made_by(__file__, load), ""]
    EVIDENCE.write_text("\n".join([*head, *page]).rstrip() + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
