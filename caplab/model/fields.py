"""Fields of parsed JSON or YAML, read by type, with errors that name their location."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from caplab.contract.records import shown

from .known_names import hint

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class FieldError(ValueError):
    """A field that is missing, unknown or of the wrong type; the message names it."""


_MAX_INTEGER = 2**63


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one object; where is its location for messages, such as 'run.json: windows[0]'."""

    where: str
    values: Mapping[str, Json]

    @classmethod
    def of(cls, where: str, value: object) -> Fields:
        """Wrap a parsed object; FieldError if it is not an object with string keys."""
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise FieldError(f"{where}: expected an object with named fields, found {shown(value)}.")
        return cls(where, value)

    def only(self, *names: str) -> None:
        """Raise FieldError for a field that is none of names: a typing mistake must not go unnoticed."""
        for name in self.values:
            if name not in names:
                raise FieldError(f"{self.where}: no such field '{name}'. Hint: {hint(name, names)}")

    def text(self, name: str) -> str:
        """Return a string that is not empty."""
        value = self._present(name)
        if not isinstance(value, str) or not value.strip():
            raise self.error(name, "a text that is not empty")
        return value.strip()

    def one_of(self, name: str, words: Collection[str]) -> str:
        """Return a string that is one of these words."""
        word = self.text(name)
        if word not in words:
            raise self.error(name, f"one of {', '.join(words)}")
        return word

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None if the field is missing, null or empty."""
        return None if self.values.get(name) in (None, "") else self.text(name)

    def integer(self, name: str) -> int:
        """Return a whole number of 64 bits: larger ones are no time, no count and no size of anything."""
        value = self._present(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(name, "a whole number")
        if not -_MAX_INTEGER <= value < _MAX_INTEGER:
            raise self.error(name, "a whole number of at most 64 bits")
        return value

    def number(self, name: str, expected: str = "a number") -> float:
        """Return a number; FieldError also for one that is larger than a float can be."""
        value = self._present(name)
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        except OverflowError:
            pass
        raise self.error(name, expected)

    def optional_integer(self, name: str) -> int | None:
        """Return a whole number, or None if the field is missing or null."""
        return None if self.values.get(name) is None else self.integer(name)

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        value = self._present(name)
        if not isinstance(value, bool):
            raise self.error(name, "true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        return tuple(value if isinstance(value, str) else self._refuse(name, value) for value in self._list(name))

    def object(self, name: str) -> Fields:
        """Return a nested object."""
        return Fields.of(f"{self.where}.{name}", self._present(name))

    def optional_object(self, name: str) -> Fields | None:
        """Return a nested object, or None if the field is missing or null."""
        return None if self.values.get(name) is None else self.object(name)

    def objects(self, name: str) -> tuple[Fields, ...]:
        """Return a list of nested objects."""
        return tuple(Fields.of(f"{self.where}.{name}[{i}]", value) for i, value in enumerate(self._list(name)))

    def text_map(self, name: str) -> dict[str, str]:
        """Return a nested object of strings; empty if the field is missing."""
        inner = self.optional_object(name)
        return {} if inner is None else {key: inner.text(key) for key in inner.values}

    def _present(self, name: str) -> Json:
        if name not in self.values:
            raise FieldError(f"{self.where}: field '{name}' is missing.")
        return self.values[name]

    def _list(self, name: str) -> Sequence[Json]:
        value = self._present(name)
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.error(name, "a list")
        return value

    def _refuse(self, name: str, value: Json) -> str:
        raise FieldError(f"{self.where}: field '{name}' must hold texts only, found {shown(value)}.")

    def error(self, name: str, expected: str) -> FieldError:
        """Return the error for a field that exists but is not what was expected."""
        return FieldError(f"{self.where}: field '{name}' must be {expected}, found {shown(self.values[name])}.")
