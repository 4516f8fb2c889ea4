"""Show that the lab is safe beside others: docs/evidence/beside-others.md.

python bench/prove_beside.py

Thirty random pairs of runs, clusters and deletions beside three databases that are not the lab's; random deletions and
changes of what clusters own, and clusters remade over kept volumes, in all engines; 200 hostile specs and names a kind.
Takes about an hour; the lab's cluster must be up. Exits with 1 if a promise is broken.
"""

from __future__ import annotations

import os
import sys

from caplab_cluster.paths import REPOSITORY
from evidence import made_by, printed_by_tests

PARTS = {
    "Databases of others keep their uid, rows and passwords": ("test_beside_others.py",),
    "What clusters own, deleted or changed at random": ("test_owned_objects.py",),
    "200 hostile specs and names a kind": ("test_hostile_specs.py", "-m", "long"),
}


def main() -> int:
    """Run every part, and keep what it prints."""
    load, page, well = os.getloadavg()[0], [], True
    for title, (file, *options) in PARTS.items():
        passed, printed = printed_by_tests(f"tests/kind/{file}", *options)
        print(printed, flush=True)
        well &= passed
        page += [f"## {title}: {'as promised' if passed else 'NOT as promised'}", "", "```", printed, "```", ""]
    head = [f"# Safe beside others: {'as promised' if well else 'NOT as promised'}", "", made_by(__file__, load), ""]
    (REPOSITORY / "docs" / "evidence" / "beside-others.md").write_text("\n".join([*head, *page]).rstrip() + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
