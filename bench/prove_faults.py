"""Measure how soon faults are live and over, and that they end whichever part dies: docs/evidence/faults.md.

50 injections of each kind, 200 random faults in a row, and 20 deaths each of agent, operator, API server and runner
in the midst of a kill, a freeze and a cut. Takes an hour; the lab's cluster must be up (make up).
"""

from __future__ import annotations

import os
import sys

from caplab_cluster.paths import REPOSITORY
from evidence import made_by, printed_by_tests

EVIDENCE = REPOSITORY / "docs" / "evidence" / "faults.md"
PROOFS = "tests/kind/test_fault_proofs.py"
CONFORMANCE, SURVIVAL = "tests/kind/test_fault_conformance.py", "tests/kind/test_fault_survival.py"


def main() -> int:
    """Measure and write the evidence. Returns 0 if every limit holds."""
    load = os.getloadavg()[0]
    parts = ["# Faults: how soon they are live, and that they end", "", made_by(__file__, load), ""]
    held = True
    for file, options in ((PROOFS, ("-m", "long")), (CONFORMANCE, ()), (SURVIVAL, ())):
        passed, printed = printed_by_tests(file, *options)
        held = held and passed
        verdict = "all passed" if passed else "NOT all passed"
        parts += [f"What `{file}` prints ({verdict}):", "", "```text", printed, "```", ""]
    EVIDENCE.write_text("\n".join(parts))
    print(EVIDENCE.read_text())
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
