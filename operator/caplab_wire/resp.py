"""A minimal client of Redis' protocol (RESP 2), enough to send commands to members and Sentinels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from .bounded import MAX_BYTES, connect

USER = "operator"
_LINE_BYTES, _MAX_PARTS, _MAX_DEPTH = 65536, 10_000, 8  # of one answer

Command = Sequence[str]


class Refusal(Exception):
    """An error that Redis answered with; the message is Redis' own."""


# A line, a number, a refusal, a list of these, or None for an empty answer.
Answer = str | int | None | Refusal | list["Answer"]


def ask(host: str, port: int, password: str, *commands: Command, seconds: float = 1.0) -> list[Answer]:
    """Send commands and return their answers in order. Raises Refusal, and OSError if there is no answer in time."""
    answers: list[Answer] = []
    for answer in exchange(host, port, (USER, password), commands, seconds):
        if isinstance(answer, Refusal):
            raise answer
        answers.append(answer)
    return answers


def exchange(
    host: str, port: int, login: tuple[str, str], commands: Sequence[Command], seconds: float
) -> Iterator[Answer]:
    """Log in, and yield the answer to each command as it comes, refusals included. seconds bounds each wait.

    Raises Refusal if the login is refused, and OSError if the answer does not come in time, is too long, or is not
    Redis' protocol.
    """
    try:
        with connect(host, port, seconds) as connection, connection.makefile("rb") as stream:
            connection.sendall(b"".join(_packed(command) for command in (("AUTH", *login), *commands)))
            if isinstance(let_in := _answer(stream), Refusal):
                raise let_in
            for _ in commands:
                yield _answer(stream)
    except ValueError as error:
        raise ConnectionError(f"{host}:{port} does not speak Redis' protocol: {error}") from error


def _packed(command: Command) -> bytes:
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _answer(stream: BinaryIO, depth: int = 0) -> Answer:
    line = stream.readline(_LINE_BYTES)
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the connection was closed in the middle of an answer")
    kind, rest = line[:1], line[1:-2].decode(errors="replace")
    if kind == b"-":
        return Refusal(rest)
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    return _long_answer(kind, int(rest), stream, depth)


def _long_answer(kind: bytes, length: int, stream: BinaryIO, depth: int) -> Answer:
    if length < 0:
        return None
    if length > (_MAX_PARTS if kind == b"*" else MAX_BYTES) or depth > _MAX_DEPTH:
        raise ValueError(f"an answer has {length} parts or bytes, {depth} lists deep")
    if kind == b"*":
        return [_answer(stream, depth + 1) for _ in range(length)]
    if kind != b"$":
        raise ValueError(f"an answer begins with {kind!r}")
    data = stream.read(length + 2)
    if len(data) < length + 2:
        raise ConnectionError("the connection was closed in the middle of an answer")
    return data[:-2].decode(errors="replace")


def information(text: Answer) -> dict[str, str]:
    """Parse the fields of an answer to INFO."""
    pairs = (line.partition(":") for line in str(text).splitlines())
    return {name: value for name, colon, value in pairs if colon}


def pairs(flat: Answer) -> dict[str, str]:
    """Parse a list of alternating names and values."""
    words = [str(word) for word in flat] if isinstance(flat, list) else []
    return dict(zip(words[::2], words[1::2], strict=False))
