"""An experiment is a file: adding one edits its expectations, its suite and the docs."""

from __future__ import annotations

from pathlib import Path

from caplab_cluster.paths import REPOSITORY
from support.adding import Tree

ROWS, SUITE = "experiments/expectations.yaml", "experiments/suites/redis.yaml"
PAGE, TABLE = "docs/experiments.md", "docs/cap-table.md"
EDITED = {ROWS, SUITE, PAGE, TABLE}
MODEL, ADDED = "experiments/redis/freeze-primary.yaml", "experiments/redis/freeze-replica.yaml"
ROW = """\
  - engine: redis
    mode: everysec-wait-0
    fault: freeze-replica
    properties: {failovers: forbidden, writeOutage: forbidden, lost: forbidden}
    why: The primary acks before any replica has the write, so it waits for none, and none is lost with a replica.
    source: Redis, replication (asynchronous replication; WAIT).

"""
NEXT = "  - engine: redis\n    mode: none-ComeBack\n    fault: crash-primary\n"
TESTS = ("tests/unit/experiments/test_experiments.py", "tests/unit/repository/test_docs.py")


def test_an_experiment_is_added_by_its_file_and_edits_four(tmp_path: Path) -> None:
    shown = (REPOSITORY / "CONTRIBUTING.md").read_text()
    assert "kill-replica.yaml" in shown
    assert Path(ADDED).name not in shown, "who follows the page has a file of this name, which is not added again"
    tree = Tree.copied(tmp_path / "tree")
    model = (tree.root / MODEL).read_text()
    tree.add(
        ADDED, model.replace("fault: freeze-primary", "fault: freeze-replica").replace("role: primary", "role: replica")
    )
    lacking = tree.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, code=1)
    assert "No expectation row 'redis everysec-wait-0 freeze-replica'" in lacking
    assert "test_the_page_of_experiments_names_each_of_them_and_no_other" in lacking

    tree.edit(ROWS, NEXT, ROW + NEXT)
    run = '- {experiment: redis/switchover, settings: {persistence: everysec, wait: "0"}}\n'
    tree.edit(SUITE, run, run + run.replace("switchover", "freeze-replica"))
    row = "| redis/freeze-primary |"
    tree.edit(PAGE, row, f"| redis/freeze-replica | as for Postgres | everysec-wait-0 |\n{row}")
    tree.python("bench/cap_table.py")
    assert tree.edited() == EDITED
    assert "freeze-replica" in tree.python("-m", "caplab", "run", "redis/freeze-replica", "--plan")
    tree.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)
