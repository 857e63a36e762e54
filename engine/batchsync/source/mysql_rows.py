"""Rows of the binary protocol of MySQL and MariaDB as Arrow arrays, column by column.

A row is a zero byte, a bitmap of nulls, and the values that are not null, one after the other. Where a value begins
depends on those before it in its row; each column is decoded for all rows of a batch at once.
https://mariadb.com/kb/en/resultset-row/#binary-resultset-row
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchsync.source.mysql_types import SECOND_DIGITS, Form

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from batchsync.source.mysql_types import Column

    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]
    Bytes = npt.NDArray[np.uint8]

#: Bytes of the longest value, as of a line of text in a file.
VALUE_BYTES = 16 << 20
#: Bytes that follow the rows, so that the values of nulls can be read, too.
_PADDING = bytes(16)
#: Bits of the bitmap of nulls before that of the first column.
_BITMAP_OFFSET = 2
#: Average bytes of a text from which texts are copied one by one.
_LONG_TEXT = 48
#: First bytes of lengths that more bytes follow, with the number of those.
_LONG_LENGTHS = {0xFC: 2, 0xFD: 3, 0xFE: 8}
_EPOCH_YEAR, _MONTHS = 1970, 12


class ValueRefusedError(Exception):
    """A value that cannot be taken over exactly: `column`, `row` from 0 in the batch, `reason` and `hint` in words."""

    def __init__(self, column: Column, row: int, reason: str, hint: str) -> None:
        """Store where the value is, and what is wrong with it."""
        super().__init__(reason)
        self.column, self.row, self.reason, self.hint = column, row, reason, hint


class RowDecoder:
    """Decodes batches of rows with the same columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        """Keep the columns of the result."""
        self._columns = tuple(columns)
        self.schema = pa.schema([(column.name, column.arrow) for column in columns])

    def table(self, rows: Sequence[bytes]) -> pa.Table:
        """Return rows as a table.

        Args:
            rows: Payloads of at least one packet.

        Raises:
            ValueRefusedError: If a value cannot be taken over exactly.
        """
        batch = _Batch(rows, len(self._columns))
        arrays = [self._array(batch, number, column) for number, column in enumerate(self._columns)]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    @staticmethod
    def _array(batch: _Batch, number: int, column: Column) -> pa.Array:
        batch.begin(number)
        return _DECODERS[column.form](batch, column)


class _Batch:
    """Rows in one block of memory, with the place of the next value of each row."""

    def __init__(self, rows: Sequence[bytes], columns: int) -> None:
        self.joined = b"".join((*rows, _PADDING))
        self.bytes: Bytes = np.frombuffer(self.joined, dtype=np.uint8)
        self.count = len(rows)
        ends = np.cumsum(np.fromiter(map(len, rows), dtype=np.int64, count=self.count))
        self._bitmaps: Ints = np.concatenate(([0], ends[:-1])) + 1
        self.at: Ints = self._bitmaps + (columns + _BITMAP_OFFSET + 7) // 8
        self.null: Bools = np.zeros(self.count, dtype=np.bool_)

    def begin(self, number: int) -> None:
        """Begin a column: find its nulls."""
        byte, bit = divmod(number + _BITMAP_OFFSET, 8)
        self.null = (self.bytes[self._bitmaps + byte] >> bit & 1).astype(np.bool_)

    def take(self, width: int) -> Bytes:
        """Return the next bytes of each row, without moving on."""
        found: Bytes = self.bytes[self.at[:, None] + np.arange(width)]
        return found

    def skip(self, sizes: Ints | int) -> None:
        """Move on in the rows whose value is not null."""
        self.at = self.at + np.where(self.null, 0, sizes)

    def lengths(self) -> Ints:
        """Read the lengths of values, and return them; 0 for nulls."""
        first = self.bytes[self.at].astype(np.int64)
        lengths = np.where(self.null, 0, first)
        self.skip(1)
        for mark, width in _LONG_LENGTHS.items():
            if mark in lengths:
                rows = np.flatnonzero(lengths == mark)
                block = np.zeros((len(rows), 8), dtype=np.uint8)
                block[:, :width] = self.bytes[self.at[rows][:, None] + np.arange(width)]
                lengths[rows] = -1 - block.view("<i8")[:, 0]
                self.at[rows] += width
        return np.where(lengths < 0, -1 - lengths, lengths)

    def validity(self) -> pa.Buffer | None:
        """Return the bitmap of values that are not null, in Arrow's order; None without nulls."""
        return pa.py_buffer(np.packbits(~self.null, bitorder="little")) if self.null.any() else None

    def array(self, values: npt.NDArray[Any], arrow: pa.DataType) -> pa.Array:
        """Return numbers as an Arrow array of a type of the same size."""
        buffers = [self.validity(), pa.py_buffer(np.ascontiguousarray(values))]
        return pa.Array.from_buffers(arrow, self.count, buffers)

    def first(self, rows: Bools) -> int | None:
        """Return the first of some rows whose value is not null."""
        found = np.flatnonzero(rows & ~self.null)
        return int(found[0]) if len(found) else None

    def binary(self, column: Column) -> pa.Array:
        """Read values that state their length.

        Raises:
            ValueRefusedError: If a value is too long.
        """
        lengths = self.lengths()
        row = self.first(lengths > VALUE_BYTES)
        if row is not None:
            reason = f"a value of more than {VALUE_BYTES >> 20} MiB"
            raise ValueRefusedError(column, row, reason, "Leave it out, or write LEFT(..., n) of it.")
        offsets = np.zeros(self.count + 1, dtype=np.int32)
        np.cumsum(lengths, out=offsets[1:])
        starts, total = self.at, int(offsets[-1])
        self.skip(lengths)
        if total > _LONG_TEXT * self.count:
            ends = starts + lengths
            pairs = zip(starts.tolist(), ends.tolist(), strict=True)
            data = pa.py_buffer(b"".join([self.joined[start:end] for start, end in pairs]))
        else:
            data = pa.py_buffer(self.bytes[np.repeat(starts - offsets[:-1], lengths) + np.arange(total)])
        return pa.Array.from_buffers(pa.binary(), self.count, [self.validity(), pa.py_buffer(offsets), data])


def _nothing(batch: _Batch, _: Column) -> pa.Array:
    return pa.nulls(batch.count)


def _integers(batch: _Batch, column: Column) -> pa.Array:
    sign = "i" if column.signed else "u"
    values = batch.take(column.width).view(f"<{sign}{column.width}")[:, 0]
    batch.skip(column.width)
    return batch.array(values.astype(f"<{'u' if pa.types.is_uint64(column.arrow) else 'i'}8"), column.arrow)


def _floats(batch: _Batch, column: Column) -> pa.Array:
    values = batch.take(column.width).view(f"<f{column.width}")[:, 0]
    batch.skip(column.width)
    return batch.array(values, column.arrow)


def _bits(batch: _Batch, column: Column) -> pa.Array:
    """Return bit fields as numbers; their bytes have the greatest first."""
    lengths = batch.lengths()
    values = np.zeros(batch.count, dtype=np.uint64)
    for number in range(int(lengths.max(initial=0))):
        byte = batch.bytes[batch.at + number].astype(np.uint64)
        values = np.where(lengths > number, values << np.uint64(8) | byte, values)
    batch.skip(lengths)
    return batch.array(values, column.arrow)


def _text(batch: _Batch, column: Column) -> pa.Array:
    values = batch.binary(column)
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        row = _first_row(values, lambda value: value.cast(pa.string()))
        hint = "Write CONVERT(... USING utf8mb4) in the query, or correct the value."
        raise ValueRefusedError(column, row, "text that is not UTF-8", hint) from None


def _decimals(batch: _Batch, column: Column) -> pa.Array:
    values = batch.binary(column).cast(pa.string())
    if pa.types.is_string(column.arrow):
        return values
    try:
        return values.cast(column.arrow)
    except pa.ArrowInvalid:
        row = _first_row(values, lambda value: value.cast(column.arrow))
        reason = f"a number that does not fit {column.declared}, the type that the server states"
        raise ValueRefusedError(column, row, reason, "Cast it in the query: CAST(... AS CHAR).") from None


def _first_row(values: pa.Array, convert: Callable[[pa.Array], object]) -> int:
    """Return the first row whose value cannot be converted."""
    for row in range(len(values)):
        try:
            convert(values.slice(row, 1))
        except pa.ArrowInvalid:
            return row
    return 0


def _days(batch: _Batch, column: Column, lengths: Ints) -> Ints:
    """Return the days since 1970 of dates.

    Raises:
        ValueRefusedError: If a date is not in the calendar.
    """
    parts = batch.take(4)
    year = np.where(lengths > 0, parts[:, :2].copy().view("<u2")[:, 0].astype(np.int64), 0)
    month, day = parts[:, 2].astype(np.int64), parts[:, 3].astype(np.int64)
    months = (year - _EPOCH_YEAR) * _MONTHS + month - 1
    dates = months.astype("datetime64[M]").astype("datetime64[D]") + (day - 1)
    invalid = (lengths == 0) | (year == 0) | (month == 0) | (day == 0)
    row = batch.first(invalid | (dates.astype("datetime64[M]").astype(np.int64) != months))
    if row is not None:
        zero = bool(lengths[row] == 0)
        reason = f"a {'zero date' if zero else 'date that is not in the calendar'}"
        hint = "Write NULLIF(..., 0) in the query, or correct the value." if zero else "Correct the value."
        raise ValueRefusedError(column, row, reason, hint)
    return dates.astype(np.int64)


def _clock(batch: _Batch, at: int, lengths: Ints, short: int) -> tuple[Ints, Ints]:
    """Return the seconds of a day and the microseconds of values; 0 where the value ends before them.

    Args:
        batch: The rows, at values.
        at: Bytes of the value before the hours.
        lengths: Lengths of the values.
        short: Length of a value with a time and without microseconds.
    """
    clock = batch.take(at + 7)[:, at:]
    hours, minutes, seconds = (clock[:, number].astype(np.int64) for number in range(3))
    micros = clock[:, 3:].copy().view("<u4")[:, 0].astype(np.int64)
    total = (hours * 60 + minutes) * 60 + seconds
    return np.where(lengths >= short, total, 0), np.where(lengths > short, micros, 0)


def _dates(batch: _Batch, column: Column) -> pa.Array:
    lengths = batch.lengths()
    days = _days(batch, column, lengths)
    batch.skip(lengths)
    return batch.array(days.astype(np.int32), column.arrow)


def _timestamps(batch: _Batch, column: Column) -> pa.Array:
    lengths = batch.lengths()
    days = _days(batch, column, lengths)
    seconds, micros = _clock(batch, 4, lengths, 7)
    batch.skip(lengths)
    return batch.array((days * 86_400 + seconds) * 1_000_000 + micros, column.arrow)


def _times(batch: _Batch, column: Column) -> pa.Array:
    """Return times as text, as the server writes them: they may be negative, and beyond 24 hours."""
    lengths = batch.lengths()
    head = batch.take(5)
    days = np.where(lengths > 0, head[:, 1:].copy().view("<u4")[:, 0].astype(np.int64), 0)
    negative = (lengths > 0) & (head[:, 0] == 1)
    seconds, micros = _clock(batch, 5, lengths, 8)
    batch.skip(lengths)
    hours = days * 24 + seconds // 3600
    parts = [
        np.where(negative, "-", ""),
        *(_digits(item, 2) for item in (hours, seconds // 60 % 60, seconds % 60)),
    ]
    text = pc.binary_join_element_wise(pa.array(parts[0].tolist()), parts[1], "")
    text = pc.binary_join_element_wise(text, parts[2], parts[3], ":")
    if column.decimals:
        fraction = micros // 10 ** (SECOND_DIGITS - column.decimals)
        text = pc.binary_join_element_wise(text, _digits(fraction, column.decimals), ".")
    return pc.if_else(pa.array(batch.null), pa.scalar(None, pa.string()), text)


def _digits(numbers: Ints, width: int) -> pa.Array:
    """Return numbers as text with leading zeros."""
    return pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width=width, padding="0")


_DECODERS: dict[Form, Callable[[_Batch, Column], pa.Array]] = {
    Form.NOTHING: _nothing,
    Form.INTEGER: _integers,
    Form.FLOAT: _floats,
    Form.DECIMAL: _decimals,
    Form.BITS: _bits,
    Form.DATE: _dates,
    Form.TIMESTAMP: _timestamps,
    Form.TIME: _times,
    Form.TEXT: _text,
}
