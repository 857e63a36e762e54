"""Counting and validation of the bytes of large texts, at several gigabytes a second."""

from __future__ import annotations

import codecs

#: Size of a text from which numpy and pyarrow are worth their import and calls, in bytes.
_LARGE = 1 << 16
#: First byte of a character of two or more bytes, and the bytes of characters that begin with at least this byte.
_LEAD_BYTES = ((0xF0, 4), (0xE0, 3), (0xC0, 2))
_CONTINUATION, _CONTINUATION_MASK = 0x80, 0xC0
_CHARACTER_BYTES_MAX = 4


def count_byte(data: bytes, byte: int) -> int:
    """Return how often a byte occurs."""
    if len(data) < _LARGE:
        return data.count(byte)
    import numpy as np  # noqa: PLC0415 - slow to import, and only needed to read rows

    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == byte))


class Utf8Validator:
    """Incremental validation of UTF-8; the same errors as the decoder of Python, which would make a string of it."""

    def __init__(self) -> None:
        """Begin a text."""
        self._pending = b""

    def check(self, data: bytes, *, final: bool) -> None:
        """Check the next bytes of a text, which may split characters.

        Args:
            data: The bytes.
            final: Whether the text ends with them.

        Raises:
            UnicodeDecodeError: If they are not valid; `object` are the bytes, after those of a split character.
        """
        if not self._pending and data.isascii():
            return
        text = self._pending + data if self._pending else data
        begin = len(text) - _split_bytes(text) if len(text) >= _LARGE else 0
        if begin and not _is_valid(text, begin):
            begin = 0
        try:
            decoded = codecs.utf_8_decode(text[begin:], "strict", final)[1]
        except UnicodeDecodeError:
            decoded = codecs.utf_8_decode(text, "strict", final)[1] - begin
        self._pending = text[begin + decoded :]


def _split_bytes(text: bytes) -> int:
    """Return the number of bytes at the end of a text that may be the beginning of a character."""
    for size in range(1, min(_CHARACTER_BYTES_MAX, len(text) + 1)):
        byte = text[-size]
        if byte & _CONTINUATION_MASK != _CONTINUATION:
            expected = next((count for lead, count in _LEAD_BYTES if byte >= lead), 1)
            return size if expected > size else 0
    return 0


def _is_valid(text: bytes, end: int) -> bool:
    """Return whether the first `end` bytes of a text are valid UTF-8."""
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and only needed to read rows

    offsets = pa.array([0, end], pa.int32()).buffers()[1]
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(text)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
