"""Values out of parsed JSON, of the type they must have, or one line that says which is not."""

import math
from collections.abc import Mapping
from typing import Any

LARGEST = 1e18  # beyond every figure here: 1e18 ns are thirty years
LONGEST_TEXT = 20_000


class BadValue(ValueError):
    """A value is missing or of another type; the message says where."""


class Reader:
    """An object of the file, and where in the file it stands."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise BadValue(f"{place or 'it'} is no object")
        self.value: Mapping[str, Any] = value
        self._place = place

    def at(self, key: str) -> str:
        """The key's place, for messages."""
        return f"{self._place}.{key}" if self._place else key

    def object(self, key: str) -> "Reader":
        """An object inside."""
        return Reader(self._get(key), self.at(key))

    def object_or_none(self, key: str) -> "Reader | None":
        """An object inside, or null."""
        return None if self._get(key) is None else self.object(key)

    def objects(self, key: str) -> "list[Reader]":
        """A list of objects."""
        return [Reader(each, f"{self.at(key)}[{i}]") for i, each in enumerate(self._list(key))]

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        found = self._list(key)
        if not all(isinstance(each, str) and len(each) <= LONGEST_TEXT for each in found):
            raise BadValue(f"{self.at(key)} holds something that is no text")
        return found

    def text(self, key: str, longest: int = LONGEST_TEXT) -> str:
        """Text without the characters that control a terminal."""
        value = self._get(key)
        if not isinstance(value, str) or len(value) > longest:
            raise BadValue(f"{self.at(key)} is no text of up to {longest} characters")
        if any(ord(each) < 32 and each not in "\n\t" or ord(each) == 127 for each in value):
            raise BadValue(f"{self.at(key)} has control characters")
        if not value.isprintable() and any(0xD800 <= ord(each) < 0xE000 for each in value):
            raise BadValue(f"{self.at(key)} is no Unicode text")
        return value

    def text_or_none(self, key: str) -> str | None:
        """Text, or null, or nothing."""
        return None if self.value.get(key) is None else self.text(key)

    def number(self, key: str) -> float:
        """A number, never negative."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadValue(f"{self.at(key)} is no number")
        if not (math.isfinite(value) and 0 <= value <= LARGEST):
            raise BadValue(f"{self.at(key)} is {value:g}, and no quantity")
        return float(value)

    def number_or_none(self, key: str) -> float | None:
        """A number, or null."""
        return None if self._get(key) is None else self.number(key)

    def numbers_or_none(self, key: str) -> list[float] | None:
        """A list of numbers, or null."""
        if self._get(key) is None:
            return None
        each = Reader(dict(zip(map(str, range(1000)), self._list(key))), self.at(key))
        return [each.number(index) for index in each.value]

    def whole(self, key: str) -> int:
        """A whole number, never negative."""
        value = self.number(key)
        if not isinstance(self.value[key], int):
            raise BadValue(f"{self.at(key)} is no whole number")
        return int(value)

    def flag(self, key: str) -> bool:
        """true or false."""
        value = self._get(key)
        if not isinstance(value, bool):
            raise BadValue(f"{self.at(key)} is neither true nor false")
        return value

    def _get(self, key: str) -> Any:
        if key not in self.value:
            raise BadValue(f"{self.at(key)} is missing")
        return self.value[key]

    def _list(self, key: str) -> list[Any]:
        value = self._get(key)
        if not isinstance(value, list):
            raise BadValue(f"{self.at(key)} is no list")
        return value
