"""The slim Debian bases that every image is built on: pulled, or made by mmdebstrap."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..engine import ContainerEngine
from ..machine.choose import check_can_bootstrap
from ..machine.facts import Machine
from ..paths import Cache
from ..progress import Progress, Step


@dataclass(frozen=True, slots=True)
class Bases:
    """Ensures the base of a Debian suite."""

    engine: ContainerEngine
    machine: Machine
    cache: Cache
    source: str  # pull, build

    def ensure(self, progress: Progress, suite: str) -> str:
        """Make sure that the base image of a suite ('bookworm') exists, and return its reference."""
        pulled, made = f"docker.io/library/debian:{suite}-slim", f"localhost/caplab/debian:{suite}"
        reference = pulled if self.source == "pull" else made
        with progress.step(f"Debian base {suite}") as step:
            if self.engine.has_image(reference):
                step.mark_ready()
            elif self.source == "pull":
                self.engine.run(step, "pull", reference)
            else:
                self._bootstrap(step, suite, reference)
        return reference

    def _bootstrap(self, step: Step, suite: str, reference: str) -> None:
        check_can_bootstrap(self.machine)
        self.cache.contexts.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache.contexts) as folder:
            archive = Path(folder) / f"{suite}.tar"
            # Documentation and translations are the largest part that a minimal base can do without.
            lean = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale", "doc", "info")]
            step.run(["mmdebstrap", "--variant=minbase", *lean, suite, str(archive)])
            self.engine.run(step, "import", str(archive), reference)
