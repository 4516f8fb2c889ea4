"""Command line: python3 -m caplab_operator runs the operator until it is told to stop."""

from __future__ import annotations

import logging

import kopf

from caplab.contract.ports import OPERATOR_HEALTH

from .handlers import wiring


def main() -> None:
    """Run the operator for all namespaces."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("aiohttp.access", "kopf.activities.probe", "kopf.objects"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    registry = kopf.OperatorRegistry()
    wiring.register(registry)
    kopf.run(registry=registry, clusterwide=True, liveness_endpoint=f"http://0.0.0.0:{OPERATOR_HEALTH}/healthz")


if __name__ == "__main__":
    main()
