"""Many JSON values in little memory: each is put once and can be had again by its place.

They lie compressed, some hundred together; as Python objects they would take ten times as much, and the garbage
collector would go through them again and again. It does not know what the values mean.
"""

from __future__ import annotations

import marshal
from typing import Any

from isal import isal_zlib

Value = dict[str, Any]
_BLOCK = 1 << 16
#: A place is the number of a block, and this many bits for where in it the value begins.
_BITS = 32


class Values:
    """Values by place. A value that has been replaced by another is not taken out."""

    def __init__(self) -> None:
        """Start empty."""
        self._blocks: list[bytes] = []
        self._open: list[bytes] = []
        self._size = 0
        self._read: tuple[int, bytes] = (-1, b"")

    def put(self, value: Value) -> int:
        """Keep a value; gives its place."""
        text = marshal.dumps(value)
        place = (len(self._blocks) << _BITS) | self._size
        self._open.append(text)
        self._size += len(text)
        if self._size >= _BLOCK:
            self._blocks.append(isal_zlib.compress(b"".join(self._open), 1))
            self._open, self._size = [], 0
        return place

    def get(self, place: int) -> Value:
        """Give the value at a place."""
        number, begin = place >> _BITS, place & ((1 << _BITS) - 1)
        block = b"".join(self._open) if number == len(self._blocks) else self._unpacked(number)
        # What follows the value is passed over.
        found: Value = marshal.loads(memoryview(block)[begin:])  # noqa: S302 - our own bytes, which never left our memory
        return found

    def _unpacked(self, number: int) -> bytes:
        # Whoever goes through the values in order unpacks each block once.
        if self._read[0] != number:
            self._read = (number, isal_zlib.decompress(self._blocks[number]))
        return self._read[1]
