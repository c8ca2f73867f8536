"""JSON as RFC 8259 has it and nothing more: what a result file may hold, whoever wrote it.

Python's reader takes NaN, Infinity, 1e400 as infinite, and the last of two equal keys; a comparison
made from such a file would be wrong without a word.
"""

import json
from typing import Any, NoReturn

LONGEST_TEXT = 64 << 20  # a slice has some 10 kB; more than this is no result


class NotStrict(ValueError):
    """The text is not JSON that a result may be made of; the message says why, in one line."""


def parse(text: str) -> Any:
    """The value; raises NotStrict."""
    if len(text) > LONGEST_TEXT:
        raise NotStrict(f"{len(text)} characters are more than any result has")
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except json.JSONDecodeError as error:
        raise NotStrict(f"no JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise NotStrict("nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise NotStrict(f"the key {twice[:40]!r} stands twice in one object")
    return found


def _no_constant(text: str) -> NoReturn:
    raise NotStrict(f"{text} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise NotStrict(f"{text[:40]} is beyond every number")
    return value


def _whole(text: str) -> int:
    if len(text) > 20:  # 2^64 has 20 digits
        raise NotStrict(f"{text[:20]}... is beyond every count")
    return int(text)
