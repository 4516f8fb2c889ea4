"""run.json: the facts of a run, beside its history. Times are CLOCK_MONOTONIC nanoseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from .fields import Fields, Json

CONTROL = "none"  # the fault of a control run
CACHE = "cache"  # the engine of a run with readers of a cache: a Redis and a Postgres
SET_SCAN, REGISTER_SCAN, COUNTER_SCAN = "set-scan", "register-scan", "counter-scan"  # workloads of final scans
MINORITY, MAJORITY = "minority", "majority"  # sides of a cut: those with the fault's targets, and the others


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultWindow:
    """One target under fault, from injection to heal.

    evidence is what was observed of it (cgroup empty, packets dropped); proven: it shows that the fault was live.
    healed_ns None: not healed as far as is known.
    """

    kind: str
    target: str
    injected_ns: int
    healed_ns: int | None
    evidence: tuple[str, ...] = ()
    proven: bool = False


@dataclass(frozen=True, slots=True)
class WallAnchor:
    """One moment on both clocks, to print monotonic times as dates."""

    monotonic_ns: int
    unix_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalScan:
    """What the scan's maker knows of a final scan beyond its rows.

    elements is the number that the database returned, so that an empty scan (0, no rows) differs from a missing one
    (None), and a scan that was recorded in part shows. server is the member whose scan decides (of Postgres and Redis
    the primary), 'all' if it is that of all members together (Cassandra); None: the last scan, of any server. problem
    says why the scan failed or the members did not converge. local is the number of elements in every other member's
    own copy. invoke_ns is when it began; None: it is the server's last. keyed are the scans of registers and counters
    that were made beside it, by their workload (register-scan, counter-scan).
    """

    converged: bool
    elements: int | None
    server: str | None = None
    problem: str = ""
    local: Mapping[str, int] = field(default_factory=dict)
    invoke_ns: int | None = None
    keyed: Mapping[str, FinalScan] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Whether the steady state held before the fault (ready, caught up, writes acked), and if not, why."""

    held: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FirstCommit:
    """The first complete commit, or write, of the epoch that a fault led to, as the server stamped it."""

    epoch: str
    unix_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Everything about a run except its operations.

    settings are those in force, read back from the engine, by their name in the cluster's spec, with
    the run's own (writesPerSecond and vantages of the load, faultSeconds of the fault) beside them. has_primary:
    the engine has one member that takes writes, and epochs. steady_ns is since when the load ran undisturbed before
    the fault, settled_ns when all members were back and caught up after heal. None for these, baseline or
    final_scan: it was not looked at. sides are those of a cut: each one's vantages, by its name (the minority's and the
    majority's); empty where the fault does not part the zones. A vantage may be of none.
    """

    experiment: str
    engine: str
    mode: str
    fault: str  # CONTROL for a control run
    settings: Mapping[str, Json]
    seed: int
    fault_windows: tuple[FaultWindow, ...]
    boot_id: str
    wall_anchor: WallAnchor
    versions: Mapping[str, str]
    has_primary: bool = True
    baseline: Baseline | None = None
    final_scan: FinalScan | None = None
    settled_ns: int | None = None
    steady_ns: int | None = None
    first_commit: FirstCommit | None = None
    sides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prober_cores: Mapping[str, float] = field(default_factory=dict)  # by vantage, over the load
    prober_standstills: Mapping[str, float] = field(default_factory=dict)  # seconds, of vantages that stalled
    images: Mapping[str, str] = field(default_factory=dict)
    specs: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return a plain dict, as json.dump takes it; `from_json` gives the same record back."""
        plain: dict[str, Json] = {
            name: getattr(self, name)
            for name in ("experiment", "engine", "mode", "fault", "seed", "boot_id", "settled_ns", "steady_ns")
        }
        plain["has_primary"] = self.has_primary
        for name in ("settings", "versions", "prober_cores", "prober_standstills", "images", "specs"):
            plain[name] = dict(getattr(self, name))
        plain["sides"] = {side: list(vantages) for side, vantages in self.sides.items()}
        plain["fault_windows"] = [
            {**asdict(window), "evidence": list(window.evidence)} for window in self.fault_windows
        ]
        plain["wall_anchor"] = asdict(self.wall_anchor)
        plain["baseline"] = asdict(self.baseline) if self.baseline else None
        plain["final_scan"] = _scan_json(self.final_scan) if self.final_scan else None
        plain["first_commit"] = asdict(self.first_commit) if self.first_commit else None
        return plain

    @classmethod
    def from_json(cls, value: object) -> RunRecord:
        """Read what `to_json` gives; FieldError (a ValueError) names a field that is missing, unknown or wrong."""
        fields = Fields.of("run.json", value)
        fields.only(*cls.__dataclass_fields__)
        specs = fields.optional_object("specs")
        return cls(
            experiment=fields.text("experiment"),
            engine=fields.text("engine"),
            mode=fields.text("mode"),
            fault=fields.text("fault"),
            settings=dict(fields.object("settings").values),
            seed=fields.integer("seed"),
            fault_windows=tuple(_fault_window(window) for window in fields.objects("fault_windows")),
            boot_id=fields.text("boot_id"),
            wall_anchor=_wall_anchor(fields.object("wall_anchor")),
            versions=fields.text_map("versions"),
            has_primary=fields.boolean("has_primary") if "has_primary" in fields.values else True,  # not in older ones
            baseline=_baseline(fields.optional_object("baseline")),
            final_scan=_scan(scan) if (scan := fields.optional_object("final_scan")) else None,
            settled_ns=fields.optional_integer("settled_ns"),
            steady_ns=fields.optional_integer("steady_ns"),
            first_commit=_first_commit(fields.optional_object("first_commit")),
            sides=_sides(fields.optional_object("sides")),
            prober_cores=_by_vantage(fields.optional_object("prober_cores"), "a number of cores"),
            prober_standstills=_by_vantage(fields.optional_object("prober_standstills"), "a number of seconds"),
            images=fields.text_map("images"),
            specs=dict(specs.values) if specs else {},
        )


def _fault_window(fields: Fields) -> FaultWindow:
    fields.only(*FaultWindow.__dataclass_fields__)
    window = FaultWindow(
        kind=fields.text("kind"),
        target=fields.text("target"),
        injected_ns=fields.integer("injected_ns"),
        healed_ns=fields.optional_integer("healed_ns"),
        evidence=fields.texts("evidence"),
        proven=fields.boolean("proven"),
    )
    if window.healed_ns is not None and window.healed_ns < window.injected_ns:
        raise fields.error("healed_ns", "no earlier than injected_ns")
    return window


def _wall_anchor(fields: Fields) -> WallAnchor:
    fields.only("monotonic_ns", "unix_ns")
    return WallAnchor(fields.integer("monotonic_ns"), fields.integer("unix_ns"))


def _baseline(fields: Fields | None) -> Baseline | None:
    if fields is None:
        return None
    fields.only("held", "problem")
    return Baseline(fields.boolean("held"), fields.optional_text("problem") or "")


def _scan_json(scan: FinalScan) -> dict[str, Json]:
    plain: dict[str, Json] = {
        name: getattr(scan, name) for name in ("converged", "elements", "server", "problem", "invoke_ns")
    }
    keyed: dict[str, Json] = {
        workload: _scan_json(scan_of_workload) for workload, scan_of_workload in scan.keyed.items()
    }
    return {**plain, "local": dict(scan.local), "keyed": keyed}


def _scan(fields: Fields) -> FinalScan:
    fields.only(*FinalScan.__dataclass_fields__)
    local, keyed = fields.optional_object("local"), fields.optional_object("keyed")
    return FinalScan(
        converged=fields.boolean("converged"),
        elements=fields.optional_integer("elements"),
        server=fields.optional_text("server"),
        problem=fields.optional_text("problem") or "",
        local={member: local.integer(member) for member in local.values} if local else {},
        invoke_ns=fields.optional_integer("invoke_ns"),
        keyed={workload: _scan(keyed.object(workload)) for workload in keyed.values} if keyed else {},
    )


def _first_commit(fields: Fields | None) -> FirstCommit | None:
    if fields is None:
        return None
    fields.only("epoch", "unix_ns")
    return FirstCommit(fields.text("epoch"), fields.integer("unix_ns"))


def _sides(fields: Fields | None) -> dict[str, tuple[str, ...]]:
    if fields is None:
        return {}
    sides: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for side in fields.values:
        sides[side] = fields.texts(side)
        if len(taken | set(sides[side])) < len(taken) + len(sides[side]):
            raise fields.error(side, "a list of vantages, each named once and of one side only")
        taken |= set(sides[side])
    return sides


def _by_vantage(fields: Fields | None, what: str) -> dict[str, float]:
    if fields is None:
        return {}
    return {vantage: fields.number(vantage, what) for vantage in fields.values}
