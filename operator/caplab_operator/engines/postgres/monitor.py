"""The exporter's role in Postgres: its current state, and the statements that correct it. Pure.

It reads statistics (pg_monitor) and nothing else. Roles are replicated, so only the primary is queried for it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..exporter import LOGIN

RIGHTS = "pg_monitor"
_NOTE = "of caplab: reads statistics for the exporter"
_MAX_ROUNDS = 1_000_000  # of a password's hash: the server's own 4096 take a millisecond
# Three for each scrape, and more for the scrapes that a frozen member has not answered yet.
_CONNECTIONS = 12
_ATTRIBUTES = (
    f"login nosuperuser inherit nocreaterole nocreatedb noreplication nobypassrls connection limit {_CONNECTIONS}"
    " valid until 'infinity'"
)
_AS_WANTED = (
    "rolcanlogin and not rolsuper and rolinherit and not rolcreaterole and not rolcreatedb and not rolreplication"
    f" and not rolbypassrls and rolconnlimit = {_CONNECTIONS} and coalesce(rolvaliduntil, 'infinity') = 'infinity'"
)
# It always returns a row, null if there is no such role, so that a missing answer is not mistaken for that.
QUESTION = f"""
select coalesce((select json_build_object(
  'asWanted', {_AS_WANTED},
  'password', coalesce(rolpassword, ''),
  'memberOf', (select coalesce(json_agg(g.rolname), '[]') from pg_auth_members m join pg_roles g on g.oid = m.roleid
    where m.member = a.oid),
  'isOurs', coalesce(shobj_description(oid, 'pg_authid'), '') = '{_NOTE}')
from pg_authid a where rolname = '{LOGIN}')::text, 'null')
"""


class ForeignRole(Exception):
    """The role exists, and the operator did not make it."""


@dataclass(frozen=True, slots=True)
class Role:
    """The role as the primary has it."""

    as_wanted: bool  # its attributes
    password: str  # as the server keeps it
    member_of: tuple[str, ...]
    is_ours: bool  # the operator made it


def parse(answer: str) -> Role | None:
    """Parse QUESTION's answer; None if there is no such role.

    Raises LookupError, TypeError, ValueError or RecursionError if it can't be parsed.
    """
    row = json.loads(answer)
    if row is None:
        return None
    member_of = tuple(map(str, row["memberOf"]))
    return Role(bool(row["asWanted"]), str(row["password"]), member_of, bool(row["isOurs"]))


def corrections(role: Role | None, password: str, encrypted: Callable[[], str]) -> Sequence[str]:
    """Return the statements that correct the role; none if it is right. encrypted returns the password's stored form.

    Raises ForeignRole.
    """
    if role is not None and not role.is_ours:
        raise ForeignRole("somebody else made it, so the exporter does not log in. Hint: rename it")
    statements = [f"create role {LOGIN}", f"comment on role {LOGIN} is '{_NOTE}'"] if role is None else []
    if role is None or not role.as_wanted or not is_of(password, role.password):
        statements.append(f"alter role {LOGIN} {_ATTRIBUTES} password '{encrypted()}'")
    member_of = role.member_of if role else ()
    if RIGHTS not in member_of:
        statements.append(f"grant {RIGHTS} to {LOGIN}")
    statements += [
        f'revoke "{name.replace(chr(34), chr(34) * 2)}" from {LOGIN}' for name in member_of if name != RIGHTS
    ]
    return statements


def removal(role: Role | None) -> Sequence[str]:
    """Return the statement that removes the role, if the operator made it."""
    return [f"drop role {LOGIN}"] if role and role.is_ours else []


def at_once(statements: Sequence[str]) -> str:
    """Join statements to one transaction that waits for no standby: it can be repeated, and a round must not hang."""
    body, quote = "; ".join(["set local synchronous_commit = local", *statements]), "$caplab$"
    while quote in body:  # a role may be called so
        quote = f"{quote[:-1]}x$"
    return f"do {quote} begin {body}; end {quote}"


def printable(statement: str) -> str:
    """Return a statement without the password, for the log."""
    return statement.partition(" password ")[0]


def is_of(password: str, kept: str) -> bool:
    """Whether the server's stored form is of this password (SCRAM-SHA-256: RFC 5803)."""
    try:
        scheme, rounds_and_salt, keys = kept.split("$")
        rounds, salt = rounds_and_salt.split(":")
        stored = keys.split(":")[0].encode()
        if int(rounds) > _MAX_ROUNDS:
            return False
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    except ValueError:
        return False
    key = hashlib.sha256(hmac.digest(salted, b"Client Key", hashlib.sha256)).digest()
    return scheme == "SCRAM-SHA-256" and hmac.compare_digest(base64.b64encode(key), stored)
