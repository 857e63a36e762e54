"""Compressed storage of many JSON values in memory, addressed by position.

Values are compressed in blocks of some hundred; as Python objects they would take ten times the memory, and slow the
garbage collector down. The blocks, in the form of `marshal`, never leave the memory of this process.
"""

from __future__ import annotations

import marshal
from typing import Any

from isal import isal_zlib

from batchsync_mocks import exact_numbers

Value = dict[str, Any]
_BLOCK = 1 << 16
#: A position is the number of a block, followed by this many bits for the offset of the value within the block.
_BITS = 32


class ValueStore:
    """Values by position. Replaced values are not removed."""

    def __init__(self) -> None:
        """Create an empty store."""
        self._blocks: list[bytes] = []
        self._open: list[bytes] = []
        self._size = 0
        self._cached: tuple[int, bytes] = (-1, b"")

    def put(self, value: Value) -> int:
        """Store a value.

        Returns:
            Its position.
        """
        try:
            text = marshal.dumps(value)
        except ValueError:  # a Decimal
            text = marshal.dumps((exact_numbers.to_builtin(value),))
        position = (len(self._blocks) << _BITS) | self._size
        self._open.append(text)
        self._size += len(text)
        if self._size >= _BLOCK:
            self._blocks.append(isal_zlib.compress(b"".join(self._open), 1))
            self._open, self._size = [], 0
        return position

    def get(self, position: int) -> Value:
        """Return the value at a position."""
        number, offset = position >> _BITS, position & ((1 << _BITS) - 1)
        block = b"".join(self._open) if number == len(self._blocks) else self._decompressed(number)
        # marshal ignores the bytes after the value.
        found = marshal.loads(memoryview(block)[offset:])  # noqa: S302 - written by this class
        value: Value = exact_numbers.from_builtin(found[0]) if isinstance(found, tuple) else found
        return value

    def _decompressed(self, number: int) -> bytes:
        """Return a block, decompressed."""
        # Reading values in order decompresses each block once.
        if self._cached[0] != number:
            self._cached = (number, isal_zlib.decompress(self._blocks[number]))
        return self._cached[1]
