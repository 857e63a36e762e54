"""The small words of jobs.yaml: names, durations, limits, keys. Each checker says what would be right.

It does not know which field uses which word. Pydantic calls the checkers; what they raise becomes a located problem.
"""

from __future__ import annotations

import codecs
import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from lading.core.guards import Limit

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
DURATION_PATTERN = r"^[1-9][0-9]{0,5}[smhd]$"
PERCENT_PATTERN = r"^(100|[0-9]{1,2})(\.[0-9]{1,6})?%$"
COUNT_OR_PERCENT_PATTERN = r"^[0-9]{1,15} or (100|[0-9]{1,2})(\.[0-9]{1,6})?%$"
TEXT_MAX = 4096
COLUMNS_MAX = 64
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENCODING = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_COUNT_MAX = 10**15
_WHOLE = 100.0


def wrong(what: str, expected: str) -> PydanticCustomError:
    """Return the error that says what is wrong and what would be right."""
    # Braces would be taken for placeholders, so both texts travel as context.
    return PydanticCustomError("lading", "{what}", {"what": what, "expected": expected})


def _text(text: str) -> str:
    if not text:
        raise wrong("an empty text", "a text")
    if len(text) > TEXT_MAX:
        raise wrong(f"a text of {len(text):,} characters", f"at most {TEXT_MAX:,}")
    if _CONTROL.search(text):
        raise wrong("a control character in the text", "a text without control characters")
    return text


def _duration(text: Any) -> timedelta:
    if not isinstance(text, str) or not re.fullmatch(DURATION_PATTERN, text):
        raise wrong("this is no duration", "a number with s, m, h or d, as in 30s, 5m, 1h or 2d")
    length = timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
    if length > timedelta(days=3660):
        raise wrong("more than ten years", "a shorter duration, as in 30s, 5m, 1h or 2d")
    return length


def _limit(value: Any) -> Limit:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _COUNT_MAX:
        return Limit(count=value)
    if isinstance(value, str) and re.fullmatch(PERCENT_PATTERN, value) and float(value[:-1]) <= _WHOLE:
        return Limit(percent=float(value[:-1]))
    if isinstance(value, str) and re.fullmatch(COUNT_OR_PERCENT_PATTERN, value):
        count, _, share = value.partition(" or ")
        if float(share[:-1]) <= _WHOLE:
            return Limit(count=int(count), percent=float(share[:-1]))
    raise wrong("this is no limit", "a number of records, as in 100, a share, as in 5%, or both, as in 10 or 5%")


def _columns(value: Any) -> tuple[str, ...]:
    """Return one column or several as a tuple."""
    columns = [value] if isinstance(value, str) else value
    if not isinstance(columns, list) or not columns or not all(isinstance(one, str) and one for one in columns):
        raise wrong("this names no columns", "a column, or a list of columns")
    for one in columns:
        _text(one)
    if len(columns) > COLUMNS_MAX:
        raise wrong(f"{len(columns)} columns", f"at most {COLUMNS_MAX}")
    if len(set(columns)) < len(columns):
        raise wrong("the same column twice", "each column once")
    return tuple(columns)


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    """Return the columns that a join compares: (of the source, of the other file)."""
    if isinstance(value, dict) and value and all(isinstance(one, str) and one for one in value.values()):
        for one in (*value, *value.values()):
            _text(one)
        return tuple(value.items())
    if isinstance(value, dict):
        raise wrong("this names no columns", "a column, a list of columns, or {ours: theirs}")
    return tuple((one, one) for one in _columns(value))


def _delimiter(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text in "\"'\r\n\x00\\" or text.isalnum():
        raise wrong("this cannot separate columns", 'one character, as in ",", ";", "|" or "\\t"')
    return text


def _encoding(text: str) -> str:
    try:
        known = bool(_ENCODING.fullmatch(text))
        known = known and b"".decode(text) == "" and codecs.lookup(text).name not in {"idna", "punycode", "undefined"}
    except (LookupError, ValueError):
        known = False
    if not known:
        raise wrong("this is no text encoding", "utf-8, utf-16, latin-1, cp1252 or another that Python knows")
    return text


def _version(value: Any) -> Any:
    # A Literal takes true for 1.
    if isinstance(value, bool) or value != 1:
        raise wrong("a version that this lading does not know", "version: 1")
    return value


Version = Annotated[Literal[1], BeforeValidator(_version)]
Text = Annotated[str, AfterValidator(_text), Field(json_schema_extra={"minLength": 1, "maxLength": TEXT_MAX})]
Duration = Annotated[
    timedelta,
    PlainValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
LimitWord = Annotated[
    Limit,
    PlainValidator(_limit),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": PERCENT_PATTERN},
                {"type": "string", "pattern": COUNT_OR_PERCENT_PATTERN},
            ]
        }
    ),
]
_COLUMN_OR_LIST: list[dict[str, Any]] = [
    {"type": "string", "minLength": 1},
    {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "uniqueItems": True},
]
Columns = Annotated[tuple[str, ...], PlainValidator(_columns), WithJsonSchema({"anyOf": _COLUMN_OR_LIST})]
Pairs = Annotated[
    tuple[tuple[str, str], ...],
    PlainValidator(_pairs),
    WithJsonSchema(
        {
            "anyOf": [
                *_COLUMN_OR_LIST,
                {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
            ]
        }
    ),
]
Delimiter = Annotated[str, AfterValidator(_delimiter), Field(json_schema_extra={"minLength": 1, "maxLength": 1})]
Encoding = Annotated[str, AfterValidator(_encoding)]
