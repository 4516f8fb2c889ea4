"""Command line: `serve` runs a zone's prober in its pod; `run` aims one probe at given addresses."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from caplab.contract.engines import BY_NAME
from caplab.contract.objects import MODELS, READ_ROUTINGS, ROUTES, Levels, TransactionSettings
from caplab.contract.phases import DONE, PENDING
from caplab.contract.ports import PROBER_METRICS
from caplab.contract.probers import TOKEN_SECRET
from caplab.kube.context import ContextRefused, connect

from .controller import Controller
from .engines import factory_for
from .exporter import Exporter
from .links import Endpoint, Topology
from .load.sessions import session_numbers
from .load.stalls import watch_stalls
from .load.transactions import TXN
from .probe import Probe, ProberContext
from .serving import serve
from .spec import MAX_LAG_BYTES, REPLICA_WAIT_MS, WORKLOADS, ClientOptions, Limits, ProbeSpec, Target

_TOKEN_CHARACTERS = 32
_REPORT_SECONDS = 1.0
_TRANSACTIONS = {
    "operations": "the most reads and writes of a transaction",
    "keys": "the most keys of a transaction",
    "active_keys": "the keys at a time",
    "writes_per_key": "the writes of a key until another takes its place",
    "read_share": "the reads among them, per cent",
    "skew_share": "the transactions that read all their keys and then write one, per cent",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0 when it is done, 1 if the probe failed, 2 for wrong arguments."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # The client's warnings about retries of the API server would fill the log during every partition.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    parsed = _parser().parse_args(arguments)
    # The schedule's thread waits for other threads' turns and for collections: keep both short.
    sys.setswitchinterval(0.001)
    gc.freeze()
    try:
        return asyncio.run(_serve(parsed) if parsed.command == "serve" else _run(parsed))
    except (ContextRefused, ValueError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="caplab_probes", description=__doc__)
    parser.add_argument("--vantage", default=os.environ.get("CAPLAB_VANTAGE", ""), help="the zone (CAPLAB_VANTAGE)")
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("CAPLAB_HISTORY", "history")))
    parser.add_argument(
        "--metrics-port", type=int, default=PROBER_METRICS, help="the port for metrics and histories; 0 for none"
    )
    parser.add_argument("--token-file", type=Path, default=_path_in(os.environ.get("CAPLAB_TOKEN_FILE")),
                        help="the file with its token (CAPLAB_TOKEN_FILE); without it: this machine only")  # fmt: skip
    defaults = Limits()
    for name in Limits.__dataclass_fields__:
        value = getattr(defaults, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"default {value}")
    commands = parser.add_subparsers(dest="command", required=True)
    pod = commands.add_parser("serve", help="run the probes that Probe objects ask for, until a signal")
    pod.add_argument(
        "--namespace",
        default=os.environ.get("CAPLAB_NAMESPACE", ""),
        help="the namespace of the Probe objects; '' for all",
    )
    pod.add_argument("--context", help="the kube context to use; without it, one is used only if its cluster is a lab")
    run = commands.add_parser("run", help="run one probe; CAPLAB_PASSWORD is its password")
    run.add_argument("--engine", choices=list(BY_NAME), default="postgres")
    run.add_argument("--run-id", required=True)
    run.add_argument("--workload", choices=WORKLOADS, default="set")
    run.add_argument("--rate", type=float, default=20.0, help="operations a second")
    run.add_argument("--seconds", type=float, help="default: until a signal")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--routes", nargs="+", choices=ROUTES, default=["service"])
    run.add_argument("--service", type=_endpoint, help="HOST:PORT of the primary, or of the members")
    run.add_argument("--member", type=_endpoint, action="append", default=[], help="NAME=HOST:PORT, once a member")
    run.add_argument("--user", default="caplab")
    run.add_argument("--database", default="caplab", help="for an engine that has databases")
    run.add_argument("--read-level", help="the consistency level of reads, in the engine's words")
    run.add_argument("--write-level", help="the same for writes")
    run.add_argument(
        "--server-timestamps", action="store_true", help="let the server timestamp writes, where an engine's clients do"
    )
    run.add_argument("--clock-skew-ms", type=int, help="how far the clock of such a client is ahead")
    run.add_argument("--speculative-delay-ms", type=int, help="ask another server too after so long without an answer")
    run.add_argument("--speculative-retry-ms", type=int, help="have a server read another copy too after so long")
    run.add_argument("--read-routing", choices=READ_ROUTINGS, help="for reads on the route replica")
    run.add_argument("--max-lag-bytes", type=int, help=f"for lag-aware; default {MAX_LAG_BYTES}")
    run.add_argument("--replica-wait-ms", type=int, help=f"for causal; default {REPLICA_WAIT_MS}")
    usual = TransactionSettings()
    run.add_argument("--model", choices=MODELS, default=usual.model, help="for txn: what keys hold")
    for name, meaning in _TRANSACTIONS.items():
        default = getattr(usual, name)
        flag = f"--{name.replace('_', '-')}"
        run.add_argument(flag, type=int, default=default, help=f"for txn: {meaning}; default {default}")
    run.add_argument("--timeout-ms", type=int, help="how long an operation may take once it is sent")
    return parser


def _path_in(text: str | None) -> Path | None:
    return Path(text) if text else None


def _endpoint(text: str) -> Endpoint:
    name, _, address = text.rpartition("=")
    host, _, port = address.rpartition(":")
    return Endpoint(name or "service", host, int(port))


def _token(file: Path | None) -> str:
    """Read the token that a client of the metrics' port must send; '' if there is no such file."""
    if file is None:
        return ""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"token-file {file} cannot be read: {error}. Hint: mount the Secret {TOKEN_SECRET}."
        ) from error
    if len(token) < _TOKEN_CHARACTERS:
        raise ValueError(f"token-file {file} has {len(token)} characters. Hint: write {_TOKEN_CHARACTERS} or more.")
    return token


def _prober_context(parsed: argparse.Namespace) -> ProberContext:
    if not parsed.vantage:
        raise ValueError("The vantage is missing. Hint: give --vantage or CAPLAB_VANTAGE.")
    limits = Limits(**{name: getattr(parsed, name) for name in Limits.__dataclass_fields__})
    context = ProberContext(
        vantage=parsed.vantage,
        folder=parsed.folder,
        limits=limits,
        exporter=Exporter(parsed.vantage),
        numbers=session_numbers(),
    )
    if parsed.metrics_port:
        serve(
            context.exporter, context.folder, parsed.metrics_port, _token(parsed.token_file), parsed.command == "serve"
        )
    return context


async def _serve(parsed: argparse.Namespace) -> int:
    stopped = asyncio.Event()
    _on_signal(stopped.set)
    context = _prober_context(parsed)
    async with watch_stalls(context.exporter.add_stall):
        await Controller(connect(parsed.context), context, parsed.namespace).run(stopped)
    return 0


async def _run(parsed: argparse.Namespace) -> int:
    if not (parsed.service or parsed.member):
        raise ValueError("The target is missing. Hint: give --service HOST:PORT, or --member NAME=HOST:PORT.")
    context = _prober_context(parsed)
    spec = ProbeSpec(
        run_id=parsed.run_id,
        workload=parsed.workload,
        rate=parsed.rate,
        routes=tuple(parsed.routes),
        vantages=(parsed.vantage,),
        seed=parsed.seed,
        seconds=parsed.seconds,
        levels=Levels(read=parsed.read_level, write=parsed.write_level),
        client=ClientOptions(
            client_timestamps=not parsed.server_timestamps,
            speculative_delay_ms=parsed.speculative_delay_ms,
            speculative_retry_ms=parsed.speculative_retry_ms,
            read_routing=parsed.read_routing,
            max_lag_bytes=parsed.max_lag_bytes,
            replica_wait_ms=parsed.replica_wait_ms,
            clock_skew_ms=parsed.clock_skew_ms,
            timeout_ms=parsed.timeout_ms,
        ),
        transactions=_transactions(parsed),
    )
    engine = BY_NAME[parsed.engine]
    factory = factory_for(engine.kind)
    factory.check(spec)
    topology = Topology(parsed.service, tuple(parsed.member))
    password = os.environ.get("CAPLAB_PASSWORD", "")
    login = {"username": parsed.user, "password": password, "database": parsed.database}
    client = factory.client(login, spec.limits(context.limits), lambda: topology, spec.client)
    target = Target("", engine.kind, "")  # there is no object, only addresses
    probe = Probe(spec, context, client, lambda: topology, engine.has_primary, factory.position, target=target)
    _on_signal(probe.stop)
    reporting = asyncio.create_task(_report_waiting(probe))
    await probe.run()
    reporting.cancel()
    print(json.dumps(asdict(probe.status)))
    return 0 if probe.status.phase == DONE and not probe.status.last_error else 1


def _transactions(parsed: argparse.Namespace) -> TransactionSettings | None:
    """Return the settings of the workload txn; None for others, as in a Probe object."""
    if parsed.workload != TXN:
        return None
    return TransactionSettings(model=parsed.model, **{name: getattr(parsed, name) for name in _TRANSACTIONS})


async def _report_waiting(probe: Probe) -> None:
    """Print on stderr what a probe waits for, each reason once."""
    reported = ""
    while True:
        await asyncio.sleep(_REPORT_SECONDS)
        if probe.status.phase == PENDING and probe.status.last_error != reported:
            reported = probe.status.last_error
            print(f"waiting: {reported}", file=sys.stderr, flush=True)


def _on_signal(call: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, call)


if __name__ == "__main__":
    sys.exit(main())
