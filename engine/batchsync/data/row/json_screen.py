"""Fast screening of JSON Lines for values that polars would change, without parsing; see `json_kinds.misread`.

polars rounds numbers in members that it reads as floats, and writes lists, objects and numbers in members that it
reads as text. Whole chunks are screened with numpy for such values of the members that are used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from batchsync.data.frame.numbers import inexact_numbers
from batchsync.data.row.row_reader import inner_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_Numbers = np.ndarray[tuple[int], np.dtype[Any]]

_COMMA, _OPEN = b",["
_STRIDE = 8
#: Blanks before a value that are skipped; lines with more are returned for parsing.
_BLANKS_MAX = 4


def _table(characters: bytes) -> _Numbers:
    """Return for each byte value whether it is one of these characters."""
    found = np.zeros(256, dtype=np.bool_)
    found[list(characters)] = True
    return found


_IS_BLANK, _IS_DIGIT, _IS_EXPONENT = _table(b" \t\r"), _table(b"0123456789."), _table(b"eE")
_IS_NUMBER = _table(b"0123456789.+-eE")
#: First characters of a text or null, and of an item of a list of texts or the end of the list.
_BEGINS_TEXT, _BEGINS_ITEM = _table(b'"n'), _table(b'"n]')


@dataclass(frozen=True, slots=True)
class ValueScreen:
    """Members, by the hash of their names, whose values are screened wherever they are in an object.

    Attributes:
        texts: Members that are read as text.
        text_lists: Members that are read as lists of texts.
        numbers: Members in which a number is read as a float or as text.
    """

    texts: _Numbers
    text_lists: _Numbers
    numbers: _Numbers

    def suspicious(self, chunk: bytes, text: _Numbers, quotes: _Numbers, names: tuple[_Numbers, _Numbers]) -> _Numbers:
        """Return offsets in a chunk, at values that must be parsed to exclude that polars changes them.

        Args:
            chunk: Complete lines of UTF-8.
            text: The same as numbers, followed by at least `_BLANKS_MAX` others.
            quotes: Offsets of the unescaped quotation marks.
            names: Offset of the colon after each name of a member, ascending, and the hash of the name.

        Returns:
            The offsets, in any order.
        """
        colons, hashes = names
        if not colons.size:
            return colons
        found = [colons[np.isin(hashes, self.texts) & ~_BEGINS_TEXT[text[_values(text, colons)]]]]
        if self.text_lists.size:
            opens = unquoted(np.flatnonzero((text == _OPEN) | (text == _COMMA)), quotes)
            opens = opens[~_BEGINS_ITEM[text[_values(text, opens)]]]
            found.append(opens[np.isin(_owners(colons, hashes, opens), self.text_lists)])
        if self.numbers.size:
            long = unquoted(_long_numbers(text), quotes)
            found.append(_inexact(chunk, text, long[np.isin(_owners(colons, hashes, long), self.numbers)]))
        return np.concatenate(found)


def screen_of(schema: Mapping[str, pl.DataType], hash_of: Callable[[bytes], int]) -> ValueScreen | None:
    """Return what to screen for the columns of a source, or None if nothing can be changed.

    Args:
        schema: The columns and types.
        hash_of: Hash of the name of a member, as it is written in JSON without quotes.

    Returns:
        The screen.
    """
    texts, text_lists, numbers = set[int](), set[int](), set[int]()
    for name, dtype in _members(schema):
        leaf = _leaf(dtype)
        number = hash_of(json.dumps(name)[1:-1].encode())
        if leaf == pl.String:
            (texts if dtype == pl.String else text_lists).add(number)
        if leaf == pl.String or leaf.is_float():
            numbers.add(number)
    if not numbers:
        return None
    return ValueScreen(*(np.array(sorted(found), np.uint64) for found in (texts, text_lists, numbers)))


def _members(schema: Mapping[str, pl.DataType]) -> Iterator[tuple[str, pl.DataType]]:
    """Yield the members of objects at all depths with their types."""
    pending = list(schema.items())
    while pending:
        name, dtype = pending.pop()
        yield name, dtype
        leaf = _leaf(dtype)
        if isinstance(leaf, pl.Struct):
            pending += zip([item.name for item in leaf.fields], inner_types(leaf), strict=True)


def _leaf(dtype: pl.DataType) -> pl.DataType:
    """Return the type of the items of a list, at any depth."""
    while isinstance(dtype, pl.List):
        [dtype] = inner_types(dtype)
    return dtype


def _values(text: _Numbers, before: _Numbers) -> _Numbers:
    """Return the offsets of what follows some characters after a few blanks."""
    found = before + 1
    for _ in range(_BLANKS_MAX):
        blank = _IS_BLANK[text[found]]
        if not blank.any():
            break
        found += blank
    return found


def unquoted(offsets: _Numbers, quotes: _Numbers) -> _Numbers:
    """Return the offsets that are not within quotation marks."""
    found: _Numbers = offsets[np.searchsorted(quotes, offsets) & 1 == 0]
    return found


def _owners(colons: _Numbers, hashes: _Numbers, offsets: _Numbers) -> _Numbers:
    """Return for each offset the hash of the last name before it; 0 without one."""
    index = np.searchsorted(colons, offsets) - 1
    found: _Numbers = np.where(index >= 0, hashes[np.maximum(index, 0)], np.uint64(0))
    return found


def _long_numbers(text: _Numbers) -> _Numbers:
    """Return an offset in each number of at least 16 digits or with an exponent, and in some others."""
    sampled = _IS_DIGIT[text[::_STRIDE]]
    long = np.flatnonzero(sampled[:-1] & sampled[1:]) * _STRIDE
    exponents = np.flatnonzero(_IS_EXPONENT[text])
    exponents = exponents[_IS_DIGIT[text[exponents - 1]]]
    found: _Numbers = np.concatenate([long, exponents])
    return found


def _inexact(chunk: bytes, text: _Numbers, offsets: _Numbers) -> _Numbers:
    """Return the offsets of those numbers that a float does not represent, of the numbers at some offsets."""
    if not offsets.size:
        return offsets
    others = np.flatnonzero(~_IS_NUMBER[text])
    index = np.searchsorted(others, np.unique(offsets))
    begins, positions = np.unique(np.where(index > 0, others[index - 1] + 1, 0), return_index=True)
    ends = others[index][positions]
    literals = [chunk[begin:end].decode() for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    found: _Numbers = begins[inexact_numbers(pl.Series(literals, dtype=pl.String)).to_numpy()]
    return found
