"""Write the schema of expectations.yaml anew, after a checker has changed what it declares: `make schemas`.

With the argument `findings` it prints that of findings.json instead, with the figures of every checker.
"""

from __future__ import annotations

import sys

from . import EXPECTATIONS, expectations, findings, rendered

if sys.argv[1:] == ["findings"]:
    sys.stdout.write(rendered(findings()))
else:
    EXPECTATIONS.write_text(rendered(expectations()))
