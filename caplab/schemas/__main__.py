"""Write the schemas anew, after a checker has changed what it declares: `make schemas`."""

from __future__ import annotations

from . import WRITTEN, rendered

for path in WRITTEN:
    path.write_text(rendered(path))
