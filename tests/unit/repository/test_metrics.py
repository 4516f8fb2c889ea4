"""What the lab exports is what docs/metrics.md lists, is named by the conventions, and does not grow with runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator

import pytest
from caplab_cluster.paths import REPOSITORY
from caplab_operator.exporter import Snapshot
from caplab_probes import exporter as prober
from caplab_probes.exporter import Exporter
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from support.metrics.exported_metrics import cluster, everything, fault, of_operator, row, run

from caplab.contract.runs import Run

PAGE = (REPOSITORY / "docs" / "metrics.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([\w ]*)\| ([^|]*)\| (.+) \|$", re.MULTILINE)
# As every Prometheus client names those of its process.
OF_PROCESS = "process_"
UNITS = ("seconds", "bytes", "ratio")
WRONG_UNITS = ("milliseconds", "ms", "minutes", "kilobytes", "mib", "percent", "ns")
IDS = ("key", "run", "run_id", "session", "uid", "pod_uid", "probe", "instance", "job", "le", "quantile")

Listed = dict[str, tuple[str, frozenset[str]]]  # name -> type and labels


def exported(families: Iterable[Metric]) -> Listed:
    """What families tell, by the names that the page uses."""
    listed_metrics: Listed = {}
    for family in families:
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        listed_metrics[name] = family.type, frozenset(labels)
    return listed_metrics


def listed(page: str) -> Listed:
    """What a page lists."""
    return {name: (kind, frozenset(labels.split())) for name, kind, labels, _, _ in ROW.findall(page)}


def section(title: str) -> str:
    """A part of the page."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture
def registries() -> Iterator[dict[str, CollectorRegistry]]:
    with everything() as registries_:
        yield registries_


@pytest.mark.parametrize("part", ["prober", "operator", "agent"])
def test_the_page_lists_what_each_part_exports_and_nothing_else(
    part: str, registries: dict[str, CollectorRegistry]
) -> None:
    assert exported(registries[part].collect()) == listed(section(part.capitalize())) | listed(
        section("Each of the three")
    )


def test_every_line_of_the_page_has_a_meaning_and_is_read() -> None:
    lines = [line for line in PAGE.splitlines() if re.match(r"\| `\w*_\w+`", line)]
    assert len(lines) == len(ROW.findall(PAGE)) == len(listed(PAGE))


def test_a_metric_that_is_missing_on_the_page_or_in_an_exporter_is_noticed() -> None:
    """Planted: a line that is gone, a label that is, and one too many."""
    with everything() as registries:
        exported_metrics = exported(registries["agent"].collect())
    page = section("Agent") + section("Each of the three")
    assert exported_metrics == listed(page)
    for wrong in (
        page.replace("`caplab_agent_faults_active`", "`caplab_agent_faults`"),
        page.replace("node kind", "node"),
        page.replace("| counter |", "| gauge |"),
    ):
        assert exported_metrics != listed(wrong)


def problems(families: Iterable[Metric]) -> list[str]:
    """What Prometheus' conventions would have otherwise."""
    problems_ = []
    for family in families:
        if family.name.startswith(OF_PROCESS):
            continue
        name, words = family.name, family.name.split("_")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        wrong = {
            "no prefix caplab_": not name.startswith("caplab_"),
            "no help": not family.documentation.endswith("."),
            "is no snake_case": not re.fullmatch(r"[a-z]+(_[a-z]+)*", name),
            "is a gauge called _total": family.type == "gauge" and name.endswith("_total"),
            "has a unit that is no base unit": bool(set(words) & set(WRONG_UNITS)),
            "has its unit not at the end": any(unit in words[:-1] for unit in UNITS) and words[1] != "seconds",
            "has an id as a label": bool(labels & set(IDS)),
            "has a label not in snake_case": any(not re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in labels),
        }
        problems_ += [f"{name} {problem}" for problem, is_so in wrong.items() if is_so]
    return problems_


def test_names_and_labels_follow_the_conventions(registries: dict[str, CollectorRegistry]) -> None:
    assert [problem for registry in registries.values() for problem in problems(registry.collect())] == []


@pytest.mark.parametrize(
    ("family", "problem"),
    [
        (Metric("lag_bytes", "How far.", "gauge"), "no prefix caplab_"),
        (Metric("caplab_lag_bytes", "", "gauge"), "no help"),
        (Metric("caplab_lagBytes", "How far.", "gauge"), "is no snake_case"),
        (Metric("caplab_lag_total", "How far.", "gauge"), "is a gauge called _total"),
        (Metric("caplab_lag_ms", "How far.", "gauge"), "has a unit that is no base unit"),
        (Metric("caplab_seconds_of_it_lag", "How far.", "gauge"), ""),
        (Metric("caplab_lag_seconds_now", "How far.", "gauge"), "has its unit not at the end"),
    ],
)
def test_a_name_against_the_conventions_is_noticed(family: Metric, problem: str) -> None:
    assert problems([family]) == ([f"{family.name} {problem}"] if problem else [])


def test_an_id_as_a_label_is_noticed() -> None:
    family = Metric("caplab_lag_bytes", "How far.", "gauge")
    family.add_sample("caplab_lag_bytes", {"run_id": "r-1"}, 1)
    assert problems([family]) == ["caplab_lag_bytes has an id as a label"]


PROMTOOL = shutil.which("promtool")


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not here: Debian's package prometheus has it")
@pytest.mark.parametrize("part", ["prober", "operator", "agent"])
def test_promtool_has_nothing_to_say(part: str, registries: dict[str, CollectorRegistry]) -> None:
    result = promtool(generate_latest(registries[part]))
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not here: Debian's package prometheus has it")
def test_promtool_would_say_it() -> None:
    """Planted: no help, and a gauge that is called a total."""
    assert promtool(b"# TYPE caplab_lag_total gauge\ncaplab_lag_total 1\n").returncode


def promtool(text: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [PROMTOOL or "", "check", "metrics"], input=text, capture_output=True, check=False, timeout=30
    )


Series = set[tuple[str, tuple[tuple[str, str], ...]]]
RUNS = ("kill-primary", "partition-primary", "control")


def series_after(runs: int) -> Series:
    """Every series that a Prometheus has seen once so many runs are over, in turn of three experiments."""
    series: Series = set()
    exporter, done = Exporter("a"), list[Run]()
    for number in range(runs):
        with exporter.load("postgres", "demo", "pg", "register") as figures, figures.runs(("service",)):
            for value in range(20):
                figures.observe(row("write", number * 100 + value, key=f"r-{number}/{value % 4}", session=value))
                figures.observe(row("read", number * 100, key=f"r-{number}/{value % 4}", outcome="info"))
            done.append(run(f"r-{number}", RUNS[number % len(RUNS)], number))
            lab = Snapshot([cluster("PostgresCluster", "pg")], [fault(f"f-{number}")], done[-30:])
            for registry in (prober.registry_of(exporter), of_operator(lab)):
                series |= {
                    (sample.name, tuple(sorted(sample.labels.items())))
                    for family in registry.collect()
                    for sample in family.samples
                }
    return series


def test_thirty_runs_have_hardly_more_series_than_three() -> None:
    few, many = len(series_after(len(RUNS))), len(series_after(30))
    assert few > 100
    assert many < 1.05 * few
