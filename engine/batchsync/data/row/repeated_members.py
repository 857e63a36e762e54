"""Fast screening of JSON Lines for objects with duplicate members, without parsing.

polars takes the first of two members of the same name, other readers the last, and none reports it. Parsing every line
in Python would take longer than reading the file, so whole chunks are screened with numpy: member names are hashed in
place and compared within their object. Equal names have equal hashes; the lines returned here must be parsed to decide.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from batchsync.data.row.json_screen import unquoted

if TYPE_CHECKING:
    from batchsync.data.row.json_screen import ValueScreen

_Numbers = np.ndarray[tuple[int], np.dtype[Any]]

_LF, _QUOTE, _BACKSLASH, _COLON, _OPEN, _CLOSE = b'\n"\\:{}'
_WORD = 8
#: Bytes of a name that are hashed; lines with longer names are returned for parsing.
_NAME_MAX = 16 * _WORD
#: Blanks between a name and its colon that are skipped; lines with more are returned for parsing.
_BLANKS_MAX = 4
_IS_BLANK = np.zeros(256, dtype=np.bool_)
_IS_BLANK[list(b" \t\r")] = True
#: Bit masks that keep the first 0 to 8 bytes of a little-endian word.
_MASKS = np.array([(1 << (8 * size)) - 1 for size in range(_WORD + 1)], dtype=np.uint64)
_PRIME, _GOLDEN = np.uint64(0x9FB21C651E98DF25), np.uint64(0x9E3779B97F4A7C15)
_FOLD = np.uint64(32)
#: Number of levels below which they are sorted as 16-bit numbers, by radix sort.
_INT16_END = 1 << 15


def suspicious_lines(chunk: bytes, screen: ValueScreen | None = None) -> list[int]:
    """Return the lines that must be parsed to exclude duplicate members in their objects.

    Args:
        chunk: Complete lines of UTF-8. Invalid JSON may be returned or not: the reader refuses it anyway.
        screen: Finds further lines, with values that polars would change.

    Returns:
        Line numbers from 0, ascending.
    """
    text = np.frombuffer(chunk + bytes(_WORD), np.uint8)
    ends = np.flatnonzero(text == _LF)
    backslashes = np.flatnonzero(text == _BACKSLASH) if b"\\" in chunk else np.empty(0, np.intp)
    quotes = _unescaped(np.flatnonzero(text == _QUOTE), backslashes)
    if quotes.size % 2 or (np.searchsorted(quotes, ends) & 1).any():  # a string that does not end on its line
        return list(range(ends.size + 1))
    begins, closes = quotes[::2] + 1, quotes[1::2]
    after = closes + 1
    for _ in range(_BLANKS_MAX):
        blank = _IS_BLANK[text[after]]
        if not blank.any():
            break
        after += blank
    is_name = text[after] == _COLON
    has_more_blanks = _IS_BLANK[text[after]]
    is_long = is_name & (closes - begins > _NAME_MAX)
    begins, closes, colons = begins[is_name], closes[is_name], after[is_name]
    hashes = _hashes(text, begins, np.minimum(closes - begins, _NAME_MAX))
    if backslashes.size:  # an escaped name may equal an unescaped one
        escaped = np.flatnonzero(np.searchsorted(backslashes, begins) < np.searchsorted(backslashes, closes))
        names = zip(begins[escaped].tolist(), closes[escaped].tolist(), strict=True)
        hashes[escaped] = np.array([hash_of_name(chunk[begin:end]) for begin, end in names], np.uint64)
    changed = screen.suspicious(chunk, text, quotes, (colons, hashes)) if screen else colons[:0]
    hashes += _object_numbers(text, quotes, begins) * _GOLDEN
    ordered = np.sort(hashes)
    duplicates = ordered[1:][ordered[1:] == ordered[:-1]]
    found = [quotes[::2][has_more_blanks | is_long], changed]
    if duplicates.size:
        found.append(begins[np.isin(hashes, duplicates)])
    lines: list[int] = np.unique(np.searchsorted(ends, np.concatenate(found))).tolist()
    return lines


def _unescaped(quotes: _Numbers, backslashes: _Numbers) -> _Numbers:
    """Return the offsets of quotation marks that do not follow an odd number of backslashes."""
    if not backslashes.size:
        return quotes
    is_first = np.append(True, np.diff(backslashes) > 1)
    first = np.maximum.accumulate(np.where(is_first, backslashes, 0))
    before = np.searchsorted(backslashes, quotes) - 1
    index = np.maximum(before, 0)
    is_adjacent = (before >= 0) & (backslashes[index] == quotes - 1)
    found: _Numbers = quotes[~(is_adjacent & ((quotes - first[index]) % 2 == 1))]
    return found


@lru_cache(maxsize=1 << 12)
def hash_of_name(name: bytes) -> int:
    """Return the hash of a name as it is written in JSON, without its escapes; 0 for an invalid name."""
    try:
        plain = json.loads(b'"' + name + b'"').encode(errors="surrogatepass")
    except ValueError:
        return 0
    return int(_hashes(np.frombuffer(plain + bytes(_WORD), np.uint8), np.array([0]), np.array([len(plain)]))[0])


def _hashes(text: _Numbers, begins: _Numbers, sizes: _Numbers) -> _Numbers:
    """Return a 64-bit hash of each byte range; eight bytes must follow the last."""
    words = np.ndarray((text.size - _WORD + 1,), dtype="<u8", buffer=text.data, strides=(1,))
    found = sizes.astype(np.uint64) * _GOLDEN
    selected: _Numbers | slice = slice(None)
    done = 0
    while begins.size:
        word = words[begins + done] & _MASKS[np.minimum(sizes - done, _WORD)]
        mixed = (found[selected] ^ word) * _PRIME
        found[selected] = mixed ^ (mixed >> _FOLD)
        done += _WORD
        more = np.flatnonzero(sizes > done)
        selected = more if isinstance(selected, slice) else selected[more]
        begins, sizes = begins[more], sizes[more]
    return found


def _object_numbers(text: _Numbers, quotes: _Numbers, names: _Numbers) -> _Numbers:
    """Return for each name the number of the object that contains it."""
    opens, closes = (unquoted(np.flatnonzero(text == bracket), quotes) for bracket in (_OPEN, _CLOSE))
    offsets = np.concatenate([opens, closes, names])
    steps = np.repeat(np.array([1, -1, 0], np.int32), [opens.size, closes.size, names.size])
    order = np.argsort(offsets, kind="stable")  # merges the three sorted runs, several times as fast
    steps = steps[order]
    level = np.cumsum(steps, dtype=np.int32)
    if level.size and level.max() < _INT16_END:
        level = level.astype(np.int16)  # for a radix sort
    kept = np.flatnonzero(steps >= 0)
    # Within a level, the names between the openings of two objects belong to the first.
    kept = kept[np.argsort(level[kept], kind="stable")]
    found = np.empty(offsets.size, np.uint64)
    found[order[kept]] = np.cumsum(steps[kept] == 1)
    return found[opens.size + closes.size :]
