"""The role that the exporter logs in as: what there is of it, and the statement that makes it what it is to be. Pure.

It reads statistics (pg_monitor) and nothing else. Members have their roles from the primary, so it is asked there only.
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
_MOST_ROUNDS = 1_000_000  # of a password's hash: the server's own 4096 take a millisecond
# Three for each scrape, and those of scrapes that a frozen member has not answered yet.
_CONNECTIONS = 12
_ATTRIBUTES = (
    f"login nosuperuser inherit nocreaterole nocreatedb noreplication nobypassrls connection limit {_CONNECTIONS}"
    " valid until 'infinity'"
)
_AS_WANTED = (
    "rolcanlogin and not rolsuper and rolinherit and not rolcreaterole and not rolcreatedb and not rolreplication"
    f" and not rolbypassrls and rolconnlimit = {_CONNECTIONS} and coalesce(rolvaliduntil, 'infinity') = 'infinity'"
)
# One row always: null where there is no such role, so that no answer is not taken for that.
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
    """There is such a role, and the operator did not make it."""


@dataclass(frozen=True, slots=True)
class Role:
    """The role as the primary has it."""

    as_wanted: bool  # its attributes
    password: str  # as the server keeps it
    member_of: tuple[str, ...]
    is_ours: bool  # the operator made it


def parse(answer: str) -> Role | None:
    """What QUESTION's answer means; None where there is no such role.

    Raises LookupError, TypeError, ValueError and RecursionError where it makes no sense.
    """
    row = json.loads(answer)
    if row is None:
        return None
    member_of = tuple(map(str, row["memberOf"]))
    return Role(bool(row["asWanted"]), str(row["password"]), member_of, bool(row["isOurs"]))


def corrections(role: Role | None, password: str, encrypted: Callable[[], str]) -> Sequence[str]:
    """What makes the role what it is to be; nothing where it is. encrypted: a password as the server is to keep it.

    Raises ForeignRole.
    """
    if role is not None and not role.is_ours:
        raise ForeignRole("somebody else made it, so the exporter is not let in. Hint: rename it")
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
    """What takes the role away, if the operator made it."""
    return [f"drop role {LOGIN}"] if role and role.is_ours else []


def at_once(statements: Sequence[str]) -> str:
    """All of them as one transaction that waits for no standby: it can be made again, and a round must not hang."""
    body, quote = "; ".join(["set local synchronous_commit = local", *statements]), "$caplab$"
    while quote in body:  # a role may be called so
        quote = f"{quote[:-1]}x$"
    return f"do {quote} begin {body}; end {quote}"


def printable(statement: str) -> str:
    """A statement as it may be logged: without the password."""
    return statement.partition(" password ")[0]


def is_of(password: str, kept: str) -> bool:
    """Whether what the server keeps is made from that password (SCRAM-SHA-256: RFC 5803)."""
    try:
        scheme, rounds_and_salt, keys = kept.split("$")
        rounds, salt = rounds_and_salt.split(":")
        stored = keys.split(":")[0].encode()
        if int(rounds) > _MOST_ROUNDS:
            return False
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    except ValueError:
        return False
    key = hashlib.sha256(hmac.digest(salted, b"Client Key", hashlib.sha256)).digest()
    return scheme == "SCRAM-SHA-256" and hmac.compare_digest(base64.b64encode(key), stored)
