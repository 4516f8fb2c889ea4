"""The little of Redis' protocol (RESP 2) that is needed to ask members and Sentinels something."""

from __future__ import annotations

import socket
from typing import BinaryIO

USER = "operator"
_MOST_BYTES, _MOST_PARTS = 2**20, 10_000  # of one answer: nobody who is asked here has more to say

# A line, a number, a list of such; None where there is nothing.
Answer = str | int | None | list["Answer"]


class Refusal(Exception):
    """An error that Redis answered with, in its own words."""


def ask(host: str, port: int, password: str, *commands: tuple[str, ...], seconds: float = 1.0) -> list[Answer]:
    """The answers to commands, one after the other. Raises OSError where nobody answers in time, and Refusal."""
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection, connection.makefile("rb") as stream:
            connection.sendall(b"".join(_packed(command) for command in (("AUTH", USER, password), *commands)))
            _answer(stream)
            return [_answer(stream) for _ in commands]
    except ValueError as error:
        raise ConnectionError(f"{host}:{port} does not speak Redis' protocol: {error}") from error


def _packed(command: tuple[str, ...]) -> bytes:
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _answer(stream: BinaryIO) -> Answer:
    line = stream.readline(65536)
    if not line.endswith(b"\r\n"):
        raise ConnectionError("closed in the middle of an answer")
    kind, rest = line[:1], line[1:-2].decode(errors="replace")
    if kind == b"-":
        raise Refusal(rest)
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    return _long_answer(kind, int(rest), stream)


def _long_answer(kind: bytes, length: int, stream: BinaryIO) -> Answer:
    if length < 0:
        return None
    if length > (_MOST_PARTS if kind == b"*" else _MOST_BYTES):
        raise ValueError(f"an answer of {length} parts or bytes")
    if kind == b"*":
        return [_answer(stream) for _ in range(length)]
    if kind != b"$":
        raise ValueError(f"an answer that begins with {kind!r}")
    data = stream.read(length + 2)
    if len(data) < length + 2:
        raise ConnectionError("closed in the middle of an answer")
    return data[:-2].decode(errors="replace")


def information(text: Answer) -> dict[str, str]:
    """The fields of INFO."""
    pairs = (line.partition(":") for line in str(text).splitlines())
    return {name: value for name, colon, value in pairs if colon}


def pairs(flat: Answer) -> dict[str, str]:
    """Names and values by turns."""
    words = [str(word) for word in flat] if isinstance(flat, list) else []
    return dict(zip(words[::2], words[1::2], strict=False))
