"""Show that nights run unattended: docs/evidence/nightly.md.

python bench/prove_schedule.py [cluster] [pipeline]

The chart's CronJob on the lab's cluster, which must be up: it starts by itself, an overlapping night is forbidden, and
a runner that is killed leaves nothing for long. Then the nightly workflow's job, step by step from a clean clone,
twice: it brings the cluster up and removes it each time. Takes about 30 minutes. Exits with 1 if a promise is broken.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from caplab_cluster.paths import REPOSITORY
from evidence import made_by, printed_by_tests

_SUITE = "smoke"
_SECONDS = 3600
_SUMMED_UP = "\n=== summary\n"  # where run_workflow.py has shown all that the steps themselves print
_WORDS = ("cluster", "pipeline")


def in_the_cluster() -> tuple[bool, str]:
    """Return whether the CronJob keeps its promises, and what its tests print."""
    return printed_by_tests("tests/kind/test_schedule.py", "--durations=0")


def in_a_pipeline() -> tuple[bool, str]:
    """Return whether two nights of the workflow succeed, the second compared with the first, and what they print."""
    well, reports = True, []
    with tempfile.TemporaryDirectory(prefix="nights-") as store:
        for number in (1, 2):
            workflow = Path(".github", "workflows", "resilience.yml")
            command = [sys.executable, "tests/run_workflow.py", str(workflow), "--store", store, "--input"]
            done = subprocess.run([*command, f"suite={_SUITE}"], cwd=REPOSITORY, capture_output=True, text=True,
                                  timeout=_SECONDS, check=False)  # fmt: skip
            if done.returncode:
                print(done.stdout[-5000:], done.stderr, flush=True)
            _, _, end = done.stdout.partition(_SUMMED_UP)
            well &= done.returncode == 0 and ("Not compared" in end) is (number == 1)
            reports.append(f"night {number}\n{end.partition('<details>')[0].strip()}\n{end[end.rfind('=== steps') :]}")
    return well, "\n\n".join(part.strip() for part in reports)


def main(words: list[str]) -> int:
    """Run the named parts, or all, and keep what they print."""
    if unknown := set(words) - set(_WORDS):
        print(f"'{sorted(unknown)[0]}' is not one of {', '.join(_WORDS)}", file=sys.stderr)
        return 1
    titles = {"cluster": "The CronJob on kind", "pipeline": "The workflow's job, step by step from a clean clone"}
    parts = {"cluster": in_the_cluster, "pipeline": in_a_pipeline}
    load, page, well = os.getloadavg()[0], [], True
    for word in words or _WORDS:
        passed, printed = parts[word]()
        print(printed, flush=True)
        well &= passed
        how = "as promised" if passed else "NOT as promised"
        page += [f"## {titles[word]}: {how}", "", "```", printed, "```", ""]
    head = [f"# Nights: {'as promised' if well else 'NOT as promised'}", "", made_by(__file__, load), ""]
    (REPOSITORY / "docs" / "evidence" / "nightly.md").write_text("\n".join([*head, *page]).rstrip() + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
