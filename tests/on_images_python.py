"""Run the unit tests on the Python and the wheels of the lab's own images.

They run in a container of images/python, without a network, with the wheels of tests/requirements.lock. They leave out
test_repository.py and test_workflows.py, which check the checkout and need git, make and hatchling.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

from caplab_cluster import node_image, versions
from caplab_cluster.digest import digest
from caplab_cluster.failure import Failure, render
from caplab_cluster.images import lab_images
from caplab_cluster.images.bases import Bases
from caplab_cluster.images.image_context import wheel_command
from caplab_cluster.machine.choose import choose_official
from caplab_cluster.paths import LAB_IMAGES, REPOSITORY, Cache
from caplab_cluster.progress import Progress, Step
from caplab_cluster.setup_context import SetupContext, begin
from caplab_cluster.toolchain import GoBuilder

REQUIREMENTS = REPOSITORY / "tests" / "requirements.lock"
IN_IDLE_TIME = ("--cpu-shares=2",)  # least of all: the tests on kind that run meanwhile measure times
PATH_FILE = "caplab-tests.pth"  # adds /site to the image's packages, as an installation would
SECONDS = 3000  # in a few minutes, but beside the tests on kind it waits for them
PACKAGES = ("", "cluster", "experiments", "operator", "probes", "dashboards", "tests")


def image(setup: SetupContext, progress: Progress, name: str = "python") -> str:
    """Make sure that a lab image of this checkout is in the engine's store. Returns its reference."""
    source = node_image.choose(setup.engine, GoBuilder(setup.machine, setup.cache), setup.options).source
    bases = Bases(setup.engine, setup.machine, setup.cache, source)
    debian = {name: bases.ensure(progress, suite) for name, suite in lab_images.BASES.items()}
    images = lab_images.discover(LAB_IMAGES, debian, choose_official(source, lab_images.OFFICIAL))
    (local,) = [image.local for image in images if image.name == name]
    if not setup.engine.has_image(local):
        raise Failure(f"There is no image {local}: the lab's images are not built from this checkout.", "Run: make up")
    return local


def packages(step: Step, cache: Cache) -> Path:
    """Return the folder of what the tests import besides the image's packages; it is fetched once."""
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    folder = cache.root / "tests-python" / digest([], REQUIREMENTS.read_text(), version)
    if folder.exists():
        return folder
    shutil.rmtree(folder.parent, ignore_errors=True)  # those of other requirements
    wheels, unpacked = folder.with_suffix(".wheels"), folder.with_suffix(".part")
    step.run(wheel_command(REQUIREMENTS, wheels, platform.machine()))
    for wheel in sorted(wheels.glob("*.whl")):
        zipfile.ZipFile(wheel).extractall(unpacked)
    own = unpacked / f"caplab-{version}.dist-info"  # the checkout's own name and version, as an installed package has
    own.mkdir()
    (own / "METADATA").write_text(f"Metadata-Version: 2.1\nName: caplab\nVersion: {version}\n")
    (unpacked / PATH_FILE).write_text("/site\n")
    return unpacked.rename(folder)


def tests(image: str, site: Path, marks: str, workers: str) -> list[str]:
    """Return the engine's arguments that run the tests of such marks in a container, by so many processes."""
    path = ":".join(f"/repository/{name}".rstrip("/") for name in PACKAGES)
    major, minor = versions.DEBIAN_LAB_PYTHON
    installed = f"/opt/caplab/lib/python{major}.{minor}/site-packages/{PATH_FILE}"
    variables = {"PYTHONPATH": path, "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis"}
    flags = [f"--env={name}={value}" for name, value in variables.items()]
    without = " ".join(f"--ignore tests/unit/repository/{name}.py" for name in ("test_repository", "test_workflows"))
    pytest = f"python3 -m pytest -q -n {workers} -p no:cacheprovider -m {shlex.quote(marks)} {without} tests/unit"
    return ["run", "--rm", "--network=none", *IN_IDLE_TIME, "--security-opt=label=disable",
            f"--volume={REPOSITORY}:/repository:ro", f"--volume={site}:/site:ro",
            f"--volume={site / PATH_FILE}:{installed}:ro", "--workdir=/repository", *flags, image,
            "timeout", str(SECONDS), "sh", "-c", f"python3 --version; {pytest}"]  # fmt: skip


def main(marks: str = "", workers: str = "2") -> int:
    """Run those of such marks, or all. Returns 0 if all passed, 1 if some failed or could not run."""
    cache = Cache.from_environment()
    progress = Progress(cache.logs / "tests")
    try:
        setup = begin(progress, cache)
        reference = image(setup, progress)
        with progress.step("wheels for the tests on the images' Python") as step:
            site = packages(step, cache)
        arguments = tests(reference, site, marks, workers)
    except Failure as failure:
        print(render(failure), file=sys.stderr, flush=True)
        return 1
    engine = setup.engine
    return 0 if os.spawnve(os.P_WAIT, engine.path, [engine.path, *arguments], {**os.environ, **engine.env}) == 0 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
