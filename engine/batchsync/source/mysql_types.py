"""Columns of a result of MySQL or MariaDB, and the types that their values get in Arrow.

The protocol describes a column by a type, flags, a character set, a display length and a number of decimals:
https://mariadb.com/kb/en/result-set-packets/#column-definition-packet
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

#: Most digits of an Arrow decimal that sources have; decimals of more digits are text.
DECIMAL_DIGITS = 38
#: Most digits of a second.
SECOND_DIGITS = 6
_BIGINT_BYTES = 8
#: Most bits of a number that a signed integer holds.
_SIGNED_BITS = 63
_UNSIGNED, _ENUM, _SET = 0x20, 0x100, 0x800
#: Character set of columns whose values are bytes.
_BINARY_CHARSET = 63
_AS_TEXT = "Leave it out, or write HEX(...) or TO_BASE64(...) of it."
_AS_GEOMETRY = "Leave it out, or write ST_AsText(...) of it."


class Form(Enum):
    """How a value is written in a row of the binary protocol."""

    NOTHING = auto()
    INTEGER = auto()
    FLOAT = auto()
    DECIMAL = auto()
    BITS = auto()
    DATE = auto()
    TIMESTAMP = auto()
    TIME = auto()
    TEXT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a result.

    Attributes:
        name: Its name.
        declared: Its type in SQL, for people.
        form: How its values are written.
        arrow: Type of its values in Arrow.
        width: Bytes of a number; 0 for values that state their length.
        signed: Whether its integers have a sign.
        decimals: Digits of the fraction of a second.
        refusal: Why its values cannot be taken over, with what to do; empty if they can.
    """

    name: str
    declared: str
    form: Form
    arrow: pa.DataType
    width: int = 0
    signed: bool = True
    decimals: int = 0
    refusal: str = ""

    @property
    def read_as(self) -> str:
        """What its values become, for people; empty if they are refused."""
        if self.refusal:
            return ""
        return next(name for test, name in _KINDS if test(self.arrow))


@dataclass(frozen=True, slots=True)
class Described:
    """What the protocol says of a column."""

    name: str
    type_code: int
    flags: int
    charset: int
    length: int
    scale: int

    @property
    def is_unsigned(self) -> bool:
        """Whether integers have no sign."""
        return bool(self.flags & _UNSIGNED)

    @property
    def is_bytes(self) -> bool:
        """Whether texts are bytes without a character set."""
        return self.charset == _BINARY_CHARSET

    @property
    def decimals(self) -> int:
        """Digits of the fraction of a second; all where the server does not tell how many."""
        return min(self.scale, SECOND_DIGITS)


#: What values are called, by a test of their type.
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "float"),
    (pa.types.is_decimal, "decimal"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_null, "null"),
    (lambda _: True, "text"),
)


def column_of(described: Described) -> Column:
    """Return a column with the type of its values in Arrow. One that cannot be taken over has a refusal."""
    make = _TYPES.get(described.type_code)
    if make is not None:
        return make(described)
    return _refused(
        described, f"type {described.type_code} of the protocol", "Cast it in the query: CAST(... AS CHAR)."
    )


def _integer(name: str, width: int) -> Callable[[Described], Column]:
    def make(described: Described) -> Column:
        signed = not described.is_unsigned
        large = width == _BIGINT_BYTES and not signed
        return Column(
            name=described.name,
            declared=name if signed or name == "year" else f"{name} unsigned",
            form=Form.INTEGER,
            arrow=pa.uint64() if large else pa.int64(),
            width=width,
            signed=signed,
        )

    return make


def _float(name: str, width: int, arrow: pa.DataType) -> Callable[[Described], Column]:
    return lambda item: Column(name=item.name, declared=name, form=Form.FLOAT, arrow=arrow, width=width)


def _decimal(item: Described) -> Column:
    """Return a column of decimals. The length is that of the longest text, with its sign and point."""
    scale = min(item.scale, item.length)
    digits = max(item.length - (not item.is_unsigned) - bool(scale), scale, 1)
    arrow = pa.decimal128(digits, scale) if digits <= DECIMAL_DIGITS else pa.string()
    return Column(name=item.name, declared=f"decimal({digits},{scale})", form=Form.DECIMAL, arrow=arrow)


def _bits(item: Described) -> Column:
    arrow = pa.uint64() if item.length > _SIGNED_BITS else pa.int64()
    return Column(name=item.name, declared=f"bit({item.length})", form=Form.BITS, arrow=arrow)


def _date(item: Described) -> Column:
    return Column(name=item.name, declared="date", form=Form.DATE, arrow=pa.date32())


def _datetime(name: str, zone: str | None) -> Callable[[Described], Column]:
    arrow = pa.timestamp("us", zone)
    return lambda item: Column(name=item.name, declared=name, form=Form.TIMESTAMP, arrow=arrow, decimals=item.decimals)


def _time(item: Described) -> Column:
    return Column(name=item.name, declared="time", form=Form.TIME, arrow=pa.string(), decimals=item.decimals)


def _text(name: str, binary: str) -> Callable[[Described], Column]:
    def make(item: Described) -> Column:
        if item.is_bytes and not item.flags & (_ENUM | _SET):
            return _refused(item, binary, _AS_TEXT)
        declared = "enum" if item.flags & _ENUM else "set" if item.flags & _SET else name
        return Column(name=item.name, declared=declared, form=Form.TEXT, arrow=pa.string())

    return make


def _json(item: Described) -> Column:
    return Column(name=item.name, declared="json", form=Form.TEXT, arrow=pa.string())


def _null(item: Described) -> Column:
    return Column(name=item.name, declared="null", form=Form.NOTHING, arrow=pa.null())


def _refused(item: Described, declared: str, hint: str) -> Column:
    return Column(name=item.name, declared=declared, form=Form.TEXT, arrow=pa.string(), refusal=hint)


def _geometry(item: Described) -> Column:
    return _refused(item, "geometry", _AS_GEOMETRY)


#: Columns by the number of their type in the protocol.
_TYPES: dict[int, Callable[[Described], Column]] = {
    0: _decimal,
    1: _integer("tinyint", 1),
    2: _integer("smallint", 2),
    3: _integer("int", 4),
    4: _float("float", 4, pa.float32()),
    5: _float("double", 8, pa.float64()),
    6: _null,
    7: _datetime("timestamp", "UTC"),
    8: _integer("bigint", 8),
    9: _integer("mediumint", 4),
    10: _date,
    11: _time,
    12: _datetime("datetime", None),
    13: _integer("year", 2),
    14: _date,
    15: _text("varchar", "varbinary"),
    16: _bits,
    245: _json,
    246: _decimal,
    247: _text("enum", "enum"),
    248: _text("set", "set"),
    249: _text("tinytext", "tinyblob"),
    250: _text("mediumtext", "mediumblob"),
    251: _text("longtext", "longblob"),
    252: _text("text", "blob"),
    253: _text("varchar", "varbinary"),
    254: _text("char", "binary"),
    255: _geometry,
}
