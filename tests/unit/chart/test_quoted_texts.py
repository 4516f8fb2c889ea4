"""What a template writes as a whole value is quoted: a digest may have digits alone, and YAML then reads a number."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caplab_cluster.paths import CHART

_WHOLE_VALUE = re.compile(r"^\s*(?:- )?(?:[\w./-]+: )?\{\{-? (?P<expression>[^}]*[^}\s]) -?\}\}\s*(?:#.*)?$")
_KEY_OR_ITEM = re.compile(r"^\s*(?:- |[\w./-]+: |- [\w./-]+: )")
_QUOTED = re.compile(r"\| quote$|\b(?:toYaml|toJson|fromJson)\b|^include ")
# Numbers and flags, which Kubernetes wants as such; the schema of values holds the last two to booleans.
_NUMBER_OR_FLAG = re.compile(r"^int |\| int$|^add |\$schedule\.suspend$|\$job\.follow_redirects$")


def unquoted(text: str) -> Iterator[str]:
    """Return the expressions that are whole values, and neither quoted, nor structured, nor numbers."""
    for line in text.splitlines():
        value = _WHOLE_VALUE.match(line) if _KEY_OR_ITEM.match(line) else None
        if value is None or ":=" in value["expression"]:
            continue
        if not _QUOTED.search(value["expression"]) and not _NUMBER_OR_FLAG.search(value["expression"]):
            yield value["expression"]


def test_every_text_that_a_template_writes_is_quoted() -> None:
    templates = [path for path in (CHART / "templates").rglob("*") if path.suffix in {".yaml", ".tpl"}]
    assert len(templates) > 10
    assert {path.name: texts for path in templates if (texts := list(unquoted(path.read_text())))} == {}


def test_a_text_that_is_not_quoted_is_found() -> None:
    planted = """
metadata:
  namespace: {{ .Release.Namespace }}
  annotations:
    example.com/token: {{ $token | sha256sum | trunc 12 }}  # a change restarts the probers
    example.com/other: {{ $token | quote }}
spec:
  zones:
  - {{ $zone }}
  - name: {{ $name }}
  suspend: {{ $schedule.suspend }}
  seconds: {{ int $schedule.startingDeadlineSeconds }}
  {{- range $zone := .Values.zones }}
"""
    assert list(unquoted(planted)) == [".Release.Namespace", "$token | sha256sum | trunc 12", "$zone", "$name"]
