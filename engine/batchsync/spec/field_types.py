"""Pydantic field types of jobs.yaml: strings, durations, limits, columns, encodings.

Validators raise `PydanticCustomError` with the expected value; `model_validator` turns it into a problem with a place.
"""

from __future__ import annotations

import codecs
import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError

from batchsync.core.guards import Limit
from batchsync.core.schedule import SPAN_PATTERN, TimeSpan, parse_span
from batchsync.core.sheet import parse_cells
from batchsync.core.source_path import BUNDLED_FORMATS
from batchsync.util.durations import parse_duration
from batchsync.util.plugins import ROW_READERS, plugin_names

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
DURATION_PATTERN = r"^[1-9][0-9]{0,5}[smhd]$"
#: The same for a JSON Schema, which cannot compute: no more than ten years in days, and about that in hours.
_SCHEMA_DURATION = (
    "[1-9][0-9]{0,5}[sm]|[1-9][0-9]{0,4}h|(?:[1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-5][0-9]|3660)d"
)
#: Other than a duration, a period may be 0, or without end.
PERIOD_PATTERN = r"^((0|[1-9][0-9]{0,5})[smhd]|forever)$"
PERCENT_PATTERN = r"^(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)%$"
COUNT_OR_PERCENT_PATTERN = rf"^[0-9]{{1,15}} or {PERCENT_PATTERN[1:]}"
TEXT_MAX = 4096
COLUMNS_MAX = 64
FILE_COLUMNS_MAX = 4096
COMMENT_MAX = 8
#: Begin of the internal column names of the data engine.
PREFIX = "batchsync:"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Control characters other than the white space that the header of a CSV file may have in quotes.
_CONTROL_IN_COLUMN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ENCODING = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_COUNT_MAX = 10**15
_SPAN_FORM = "days and times of day, such as mon-fri 08:00-18:00, 22:00-06:00 or sat,sun"
_SPAN_SCHEMA = {"type": "string", "pattern": f"^{SPAN_PATTERN}$"}
_PORT_MAX = 65_535
_WHOLE = 100.0


def _invalid(message: str, expected: str) -> PydanticCustomError:
    """Return the error of an invalid value."""
    # Braces would be parsed as placeholders, so both texts are passed as context.
    return PydanticCustomError("batchsync", "{message}", {"message": message, "expected": expected})


def _text(text: str, control: re.Pattern[str] = _CONTROL) -> str:
    if not text:
        raise _invalid("empty string", "a string")
    if len(text) > TEXT_MAX:
        raise _invalid(f"string of {len(text):,} characters", f"at most {TEXT_MAX:,} characters")
    if control.search(text):
        raise _invalid("control character in a string", "no control characters")
    return text


def _duration(text: Any) -> timedelta:
    if not isinstance(text, str) or not re.fullmatch(DURATION_PATTERN, text):
        raise _invalid("invalid duration", "a number with s, m, h or d, such as 30s, 5m, 1h or 2d")
    length = parse_duration(text)
    if length > timedelta(days=3660):
        raise _invalid("more than ten years", "a shorter duration, such as 30s, 5m, 1h or 2d")
    return length


def _lag(value: Any) -> timedelta | int:
    if isinstance(value, timedelta) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    if not isinstance(value, str) or not re.fullmatch(DURATION_PATTERN, value):
        raise _invalid("invalid lag", "a duration, such as 30s, 15m or 1d, or a whole number")
    return _duration(value)


def _period(text: Any) -> timedelta | None:
    if text == "forever":
        return None
    if isinstance(text, str) and re.fullmatch(r"0[smhd]", text):
        return timedelta(0)
    if not isinstance(text, str) or not re.fullmatch(PERIOD_PATTERN, text):
        raise _invalid("invalid period", "a number with s, m, h or d, such as 90d or 0d, or forever")
    return _duration(text)


def _spans(value: Any) -> tuple[TimeSpan, ...]:
    """Return the spans of one text or a list of texts.

    Raises:
        PydanticCustomError: If one is none.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise _invalid("invalid times", _SPAN_FORM)
    if len(texts) > COLUMNS_MAX:
        raise _invalid(f"{len(texts)} spans", f"at most {COLUMNS_MAX}")
    found = [parse_span(text) for text in texts]
    if bad := [text for text, span in zip(texts, found, strict=True) if span is None]:
        raise _invalid(f"invalid times {bad[0][:60]!r}", _SPAN_FORM)
    return tuple(span for span in found if span is not None)


def _limit(value: Any) -> Limit:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _COUNT_MAX:
        return Limit(count=value)
    if isinstance(value, str) and re.fullmatch(PERCENT_PATTERN, value) and float(value[:-1]) <= _WHOLE:
        return Limit(percent=float(value[:-1]))
    if isinstance(value, str) and re.fullmatch(COUNT_OR_PERCENT_PATTERN, value):
        count, _, percent = value.partition(" or ")
        if float(percent[:-1]) <= _WHOLE:
            return Limit(count=int(count), percent=float(percent[:-1]))
    raise _invalid("invalid limit", "a number of records (100), a percentage (5%), or the greater of both (10 or 5%)")


def is_source_format(name: str) -> bool:
    """Return whether a format is bundled or installed."""
    return name in BUNDLED_FORMATS or name in plugin_names(ROW_READERS)


def source_formats() -> list[str]:
    """Return the names of the bundled and the installed formats."""
    return [*BUNDLED_FORMATS, *plugin_names(ROW_READERS)]


def _source_format(value: Any) -> str:
    """Return the name of a source format.

    Raises:
        PydanticKnownError: If it is neither bundled nor installed.
    """
    if not isinstance(value, str) or not is_source_format(value):
        raise PydanticKnownError("literal_error", {"expected": ", ".join(map(repr, source_formats()))})
    return value


def _cell_range(value: Any) -> str:
    """Return a range of cells.

    Raises:
        PydanticCustomError: If it is none.
    """
    if not isinstance(value, str) or parse_cells(value) is None:
        raise _invalid("invalid range of cells", "a range such as A3:F500, or A3:F without a last row")
    return value


def _columns(value: Any) -> tuple[str, ...]:
    """Return a column or a list of columns as a tuple.

    Raises:
        PydanticCustomError: If the value is neither.
    """
    columns = [value] if isinstance(value, str) else value
    if (
        not isinstance(columns, list)
        or not columns
        or not all(isinstance(column, str) and column for column in columns)
    ):
        raise _invalid("invalid columns", "a column, or a list of columns")
    for column in columns:
        _text(column, _CONTROL_IN_COLUMN)
    if len(columns) > COLUMNS_MAX:
        raise _invalid(f"{len(columns)} columns", f"at most {COLUMNS_MAX}")
    if len(set(columns)) < len(columns):
        raise _invalid("duplicate column", "distinct columns")
    return tuple(columns)


def _former_names(value: Any) -> tuple[str, ...]:
    """Return a former name or a list of them as a tuple; the list may be empty.

    Raises:
        PydanticCustomError: If the value is neither, or not a valid name.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _invalid("invalid former names", "a former name, a list of them, or [] for none")
    if not all(re.fullmatch(NAME_PATTERN, name) for name in names) or len(names) > COLUMNS_MAX:
        raise _invalid("invalid former names", "names of lower-case letters, digits, - and _")
    if len(set(names)) < len(names):
        raise _invalid("duplicate former name", "distinct names")
    return tuple(names)


def _tags(value: Any) -> tuple[str, ...]:
    """Return a list of tags as a tuple.

    Raises:
        PydanticCustomError: If the value is no list of distinct, valid tags.
    """
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _invalid("invalid tags", "a list of tags, such as [nightly, crm]")
    if not all(re.fullmatch(NAME_PATTERN, name) for name in value) or len(value) > COLUMNS_MAX:
        raise _invalid("invalid tag", f"at most {COLUMNS_MAX} tags of lower-case letters, digits, - and _")
    if len(set(value)) < len(value):
        raise _invalid("duplicate tag", "distinct tags")
    return tuple(value)


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    """Return the columns of a join as pairs (column of the source, column of the other file).

    Raises:
        PydanticCustomError: If the value is neither columns nor a mapping of columns.
    """
    if isinstance(value, dict) and value and all(isinstance(item, str) and item for item in value.values()):
        for item in (*value, *value.values()):
            _text(item, _CONTROL_IN_COLUMN)
        return tuple(value.items())
    if isinstance(value, dict):
        raise _invalid("invalid columns", "a column, a list of columns, or {source column: other column}")
    return tuple((column, column) for column in _columns(value))


def _port(value: Any) -> int:
    """Return a port, which is a text where it comes from a reference.

    Raises:
        PydanticCustomError: If it is no number from 1 to 65535.
    """
    number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= _PORT_MAX:
        raise _invalid("invalid port", f"a number from 1 to {_PORT_MAX}")
    return number


def _delimiter(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text in "\"'\r\n\x00\\" or text.isalnum():
        raise _invalid("invalid delimiter", 'a single character, such as ",", ";", "|" or "\\t"')
    return text


def _column_names(value: Any) -> tuple[str, ...]:
    """Return the names of the columns of a file without header.

    Raises:
        PydanticCustomError: If the value is no list of distinct names.
    """
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise _invalid("invalid columns", "a list of names, one for each column of the file")
    for item in value:
        _text(item, _CONTROL_IN_COLUMN)
    if len(value) > FILE_COLUMNS_MAX:
        raise _invalid(f"{len(value)} columns", f"at most {FILE_COLUMNS_MAX}")
    if len(set(value)) < len(value):
        raise _invalid("duplicate column", "distinct columns")
    if any(item.startswith(PREFIX) for item in value):
        raise _invalid(f"column names may not begin with {PREFIX}", "another name")
    return tuple(value)


def _mark(text: str) -> str:
    if len(text) != 1 or not text.isascii() or not text.isprintable() or text.isalnum() or text == " ":
        raise _invalid("invalid character", "a single character that is no letter, digit or blank, such as ' or \\")
    return text


def _quote(text: str) -> str:
    return _mark(text) if text else text


def _comment(text: str) -> str:
    if not 1 <= len(text) <= COMMENT_MAX or not text.isprintable() or text != text.strip():
        raise _invalid("invalid begin of a comment", "one to eight characters without blanks at the edges, such as #")
    return text


def _encoding(text: str) -> str:
    try:
        is_known = bool(_ENCODING.fullmatch(text))
        is_known = (
            is_known and b"".decode(text) == "" and codecs.lookup(text).name not in {"idna", "punycode", "undefined"}
        )
    except (LookupError, ValueError):
        is_known = False
    if not is_known:
        raise _invalid("unknown text encoding", "utf-8, utf-16, latin-1, cp1252 or another encoding of Python")
    return text


def _version(value: Any) -> Any:
    # Literal[1] also accepts true.
    if isinstance(value, bool) or value != 1:
        raise _invalid("unsupported version", "version: 1")
    return value


Version = Annotated[Literal[1], BeforeValidator(_version)]
Text = Annotated[str, AfterValidator(_text), Field(json_schema_extra={"minLength": 1, "maxLength": TEXT_MAX})]
Duration = Annotated[
    timedelta,
    PlainValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": f"^(?:{_SCHEMA_DURATION})$"}),
]
Lag = Annotated[
    timedelta | int,
    PlainValidator(_lag),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": f"^(?:{_SCHEMA_DURATION})$"}, {"type": "integer", "minimum": 0}]}
    ),
]
Period = Annotated[
    timedelta | None,
    PlainValidator(_period),
    WithJsonSchema({"type": "string", "pattern": f"^(?:0[smhd]|forever|{_SCHEMA_DURATION})$"}),
]
Spans = Annotated[
    tuple[TimeSpan, ...],
    PlainValidator(_spans),
    WithJsonSchema(
        {"anyOf": [_SPAN_SCHEMA, {"type": "array", "items": _SPAN_SCHEMA, "minItems": 1, "maxItems": COLUMNS_MAX}]}
    ),
]
LimitText = Annotated[
    Limit,
    PlainValidator(_limit),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": _COUNT_MAX},
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
_NAME: dict[str, Any] = {"type": "string", "pattern": NAME_PATTERN}
FormerNames = Annotated[
    tuple[str, ...],
    PlainValidator(_former_names),
    WithJsonSchema({"anyOf": [_NAME, {"type": "array", "items": _NAME, "uniqueItems": True}]}),
]
Tags = Annotated[
    tuple[str, ...],
    PlainValidator(_tags),
    WithJsonSchema({"type": "array", "items": _NAME, "uniqueItems": True, "maxItems": COLUMNS_MAX}),
]
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
Port = Annotated[
    int,
    PlainValidator(_port),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": _PORT_MAX},
                {"type": "string", "pattern": r"^([0-9]{1,5}|\$\{[^{}]+\})$"},
            ]
        }
    ),
]
Delimiter = Annotated[str, AfterValidator(_delimiter), Field(json_schema_extra={"minLength": 1, "maxLength": 1})]
Encoding = Annotated[str, AfterValidator(_encoding)]
ColumnNames = Annotated[
    tuple[str, ...],
    PlainValidator(_column_names),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "maxItems": FILE_COLUMNS_MAX,
            "uniqueItems": True,
        }
    ),
]
Quote = Annotated[str, AfterValidator(_quote), Field(json_schema_extra={"maxLength": 1})]
Escape = Annotated[str, AfterValidator(_mark), Field(json_schema_extra={"minLength": 1, "maxLength": 1})]
Comment = Annotated[str, AfterValidator(_comment), Field(json_schema_extra={"minLength": 1, "maxLength": COMMENT_MAX})]
CellRange = Annotated[
    str,
    PlainValidator(_cell_range),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{1,3}([1-9][0-9]{0,6})?:[A-Za-z]{1,3}([1-9][0-9]{0,6})?$"}),
]
SourceFormat = Annotated[
    str, PlainValidator(_source_format), WithJsonSchema({"type": "string", "enum": [*BUNDLED_FORMATS]})
]
