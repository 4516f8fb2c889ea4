"""Parameters that an engine has, as reported by the one in the lab's image."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from caplab_cluster.engine import ContainerEngine
from caplab_cluster.failure import Failure

from .refusals import FIXED, OLD

Row = dict[str, Any]
_RUN = ("run", "--rm", "--interactive", "--network=none", "--tmpfs=/tmp:mode=1777", "--entrypoint=bash")
_SECONDS = 120

_ASK_POSTGRES = """
set -e
export PATH=/usr/lib/postgresql/17/bin:$PATH
initdb -D /tmp/data -A trust -U lab > /dev/null
pg_ctl -D /tmp/data -w -l /tmp/log -o '-k /tmp -c listen_addresses=' start > /dev/null
psql -h /tmp -U lab -d postgres -Atc 'select json_agg(s) from (
  select lower(name) as name, vartype, unit, min_val, max_val, enumvals, context from pg_settings) s'
"""
# Redis has no list of types, but its refusals name what it would accept. Parameters that cannot be changed while it
# runs are tried on a server that starts.
_ASK_REDIS = """
cd /tmp
redis-server --port 0 --unixsocket /tmp/socket --save '' --daemonize yes > /dev/null
ask() { redis-cli -s /tmp/socket "$@" 2>&1; }
until ask PING > /dev/null; do sleep 0.1; done
ask --json CONFIG GET '*'
names="$(ask CONFIG GET '*' | awk 'NR % 2 == 1' | grep -vx requirepass)"
for name in $names; do
  ask CONFIG SET "$name" '~' > "$name.said"
  if grep -q -e immutable -e protected "$name.said"; then
    for value in '~' -9223372036854775808; do
      (timeout 2 redis-server --port 0 --save '' --$name "$value" 2>&1 | grep -A9 FATAL > "$name.$value") &
    done
  else
    (ask CONFIG SET "$name" -9223372036854775808; ask CONFIG SET "$name" 0) >> "$name.said"
  fi
done
wait
for name in $names; do
  live=yes
  if grep -q -e immutable -e protected "$name.said"; then live=no; fi
  printf '%s\\t%s\\t%s\\n' "$name" "$live" "$(cat "$name".* | tr '\\n' ' ')"
done
printf 'requirepass\\tyes\\tOK\\n'
"""
_ASK_CASSANDRA = """
set -e
mkdir /tmp/ask && cd /tmp/ask
cat > Fields.java << 'END'
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import org.apache.cassandra.config.Config;
public class Fields {
    public static void main(String[] arguments) throws Exception {
        for (Field field : Config.class.getFields()) {
            if (Modifier.isStatic(field.getModifiers())) continue;
            Class<?> type = field.getType();
            Object[] constants = type.isEnum() ? type.getEnumConstants() : new Object[0];
            String values = String.join(",", Arrays.stream(constants).map(Object::toString).toList());
            String old = field.isAnnotationPresent(Deprecated.class) ? "deprecated" : "";
            System.out.println(String.join("\\t", field.getName(), type.getName(), values, old, "."));
        }
    }
}
END
lib=/opt/cassandra/lib
java -jar $lib/ecj-*.jar -17 -proc:none -nowarn -cp "$(echo $lib/cassandra-all-*.jar)" Fields.java
java -cp ".:$lib/*" Fields
"""


def newest_image(engine: ContainerEngine, name: str) -> str:
    """Return the id of the lab's newest image of a database; '' if there is none."""
    ids = engine.must("images", "--quiet", "--filter", f"reference=localhost/caplab/{name}").split()
    return ids[0] if ids else ""


def ask(engine: ContainerEngine, name: str) -> dict[str, Row]:
    """Return a row for each parameter of a database, from its newest image. Raises Failure if there is none."""
    script, read = _ENGINES[name]
    image = newest_image(engine, name)
    if not image:
        raise Failure(f"There is no image of {name}.", "Run `make up`, which builds it, then try again.")
    return read(engine.must(*_RUN, image, "-s", timeout_seconds=_SECONDS, stdin=script))


def _without_nothing(row: Row) -> Row:
    return {
        key: value for key, value in row.items() if value is not None and value is not False and value not in ("", [])
    }


_POSTGRES_KINDS = {"bool": "bool", "enum": "enum", "integer": "integer", "real": "real", "string": "text"}
_SIZE_UNITS, _TIME_UNITS = ("B", "kB", "8kB", "MB"), ("ms", "s", "min")
_AT_START = ("internal", "postmaster")


def read_postgres(answer: str) -> dict[str, Row]:
    """Parse rows of pg_settings."""
    return {
        setting["name"]: _without_nothing({
            "kind": _postgres_kind(setting),
            "unit": setting["unit"],
            "minimum": _number(setting["min_val"]),
            "maximum": _number(setting["max_val"]),
            # The empty value of an enum is its default: naming it has no effect.
            "values": [value for value in setting["enumvals"] or [] if value],
            "live": setting["context"] not in _AT_START,
            "refused": FIXED if setting["context"] == "internal" else "",
        })
        for setting in json.loads(answer)
    }  # fmt: skip


def _postgres_kind(setting: Mapping[str, Any]) -> str:
    if setting["unit"] in _SIZE_UNITS:
        return "size"
    if setting["unit"] in _TIME_UNITS:
        return "time"
    return _POSTGRES_KINDS[setting["vartype"]]


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**63 else value


def read_redis(answer: str) -> dict[str, Row]:
    """Parse the answer to CONFIG GET *, and Redis' refusals of invalid values."""
    first, *lines = answer.splitlines()
    defaults: Mapping[str, str] = json.loads(first)
    rows = {}
    for name, live, refusal in (line.split("\t") for line in lines):
        row: Row = {"kind": _redis_kind(refusal), "live": live == "yes", "default": defaults[name]}
        if bounds := re.search(r"between (-?\d+) and (-?\d+) inclusive", refusal):
            row |= {"minimum": int(bounds[1]), "maximum": int(bounds[2])}
        elif row["kind"] == "size":
            row |= {"minimum": 0, "maximum": 2**63 - 1}
        if values := re.search(r"one of the following: ([a-z, -]+?)(?: ERR|OK|$|\s*\*\*\*)", refusal):
            row["values"] = values[1].strip().split(", ")
        if letters := re.search(r"Invalid event class character. Use '([^']+)'", refusal):
            row["values"] = sorted(letters[1])
        rows[name] = _without_nothing(row)
    return rows


_REDIS_KINDS = {
    "must be 'yes' or 'no'": "bool",
    "one of the following": "enum",
    "must be a memory": "size",
    "parsed into an integer": "integer",
    "event class character": "letters",
}


def _redis_kind(refusal: str) -> str:
    return next((kind for words, kind in _REDIS_KINDS.items() if words in refusal), "text")


_CASSANDRA_KINDS = {
    "boolean": "bool", "int": "integer", "long": "integer", "double": "real", "float": "real",
    "java.lang.Boolean": "bool", "java.lang.Integer": "integer", "java.lang.Double": "real", "java.lang.Float": "real",
}  # fmt: skip
_CASSANDRA_SPECS = {"DurationSpec": "time", "DataStorageSpec": "size", "DataRateSpec": "rate"}
_CASSANDRA_UNITS = {
    "Nanoseconds": "ns", "Microseconds": "us", "Milliseconds": "ms", "Seconds": "s", "Minutes": "m",
    "Bytes": "B", "Kibibytes": "KiB", "Mebibytes": "MiB", "BytesPerSecond": "B/s",
}  # fmt: skip


def read_cassandra(answer: str) -> dict[str, Row]:
    """Parse the fields of Cassandra's Config; a parameter changes none of them while it runs."""
    rows = {}
    for name, kind, values, old, _ in (line.split("\t") for line in answer.splitlines()):
        rows[name] = _without_nothing(
            {**_cassandra_kind(kind), "values": [value for value in values.split(",") if value]}
        )
        if values:
            rows[name]["kind"] = "enum"
        if old:
            rows[name]["refused"] = OLD
    return rows


def _cassandra_kind(kind: str) -> Row:
    # org.apache.cassandra.config.DurationSpec$IntMillisecondsBound: at most an int of them, in no smaller unit.
    if spec := re.fullmatch(r"org\.apache\.cassandra\.config\.(\w+)\$(Int|Long)(\w+)Bound", kind):
        most = 2**31 - 2 if spec[2] == "Int" else 2**63 - 2
        return {"kind": _CASSANDRA_SPECS[spec[1]], "unit": _CASSANDRA_UNITS[spec[3]], "minimum": 0, "maximum": most}
    type_ = _CASSANDRA_KINDS.get(kind, "text")
    if type_ != "integer":
        return {"kind": type_}
    bits = 63 if kind == "long" else 31
    return {"kind": type_, "minimum": -(2**bits), "maximum": 2**bits - 1}


_ENGINES: dict[str, tuple[str, Callable[[str], dict[str, Row]]]] = {
    "postgres": (_ASK_POSTGRES, read_postgres),
    "redis": (_ASK_REDIS, read_redis),
    "cassandra": (_ASK_CASSANDRA, read_cassandra),
}
ENGINES = tuple(_ENGINES)
