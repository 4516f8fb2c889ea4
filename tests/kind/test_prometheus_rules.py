"""The rules of the lab's Prometheus, tried by its own image."""

from __future__ import annotations

import shutil
from pathlib import Path

import on_images_python
import pytest
from caplab_cluster.progress import Progress
from support.chart import rule_checks
from support.kind.kind_lab import Lab, log_folder, setup_context

pytestmark = pytest.mark.beside


def test_the_rules_pass_their_tests_in_its_own_image_and_no_spoilt_rule_does(lab: Lab, tmp_path: Path) -> None:
    """The spoilt ones only where the unit tests found no promtool to run them."""
    with_spoilt = shutil.which("promtool") is None
    image = on_images_python.image(setup_context(), Progress(log_folder()), "prometheus")
    tmp_path.chmod(0o755)

    def in_image(folder: Path) -> str:
        flags = ["--rm", "--network=none", "--security-opt=label=disable", f"--volume={folder}:/rules:ro"]
        command = ["run", *flags, "--workdir=/rules", "--entrypoint=sh", image, "-c", rule_checks.SCRIPT]
        answer = lab.engine.ask(*command, timeout_seconds=120)
        print(answer.err)
        return answer.out

    outcomes = rule_checks.outcomes(tmp_path, in_image, with_spoilt)
    assert rule_checks.wrong(outcomes, with_spoilt) == []
