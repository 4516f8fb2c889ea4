"""Regenerate the engines' tables and the schemas' rules: `python -m parameters [--ask]`, with bench on PYTHONPATH.

Without --ask the schemas are made from the existing tables. With it the tables are made first, from the images that
`make up` built.
"""

from __future__ import annotations

import argparse

from caplab_cluster.paths import Cache
from caplab_cluster.progress import Progress
from caplab_cluster.setup_context import begin

from . import files
from .asking import ENGINES, ask


def main() -> None:
    """Write the files that differ, and print their names."""
    parser = argparse.ArgumentParser(prog="parameters", description=__doc__)
    parser.add_argument("--ask", action="store_true", help="ask the images of the last `make up` first")
    if parser.parse_args().ask:
        cache = Cache.from_environment()
        engine = begin(Progress(cache.logs / "parameters"), cache).engine
        for name in ENGINES:
            files.write_table(name, ask(engine, name))
    for name in ENGINES:
        changed = files.write_schema(name)
        print(f"{name}: {'written' if changed else 'as it was'}")


main()
