"""Find lines of JSON in which an object may hold one member twice, without parsing them.

The columnar reader takes the first of two members of one name, other readers the last, and none reports it. Parsing
every line in Python would take longer than reading the file, so whole chunks are screened with numpy: member names
are hashed in place and compared within their object. Equal names always have equal hashes; a line that is returned
here is then parsed, which decides.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np

_Numbers = np.ndarray[tuple[int], np.dtype[Any]]

_LF, _QUOTE, _SLASH, _COLON, _OPEN, _CLOSE = b'\n"\\:{}'
_WORD = 8
#: Bytes of a name that are hashed; the line of a longer one is parsed.
_NAME_MAX = 16 * _WORD
#: Blanks between a name and its colon that are skipped; the line of more is parsed.
_BLANKS_MAX = 4
_IS_BLANK = np.zeros(256, dtype=np.bool_)
_IS_BLANK[list(b" \t\r")] = True
#: By how many bytes of a word belong to a name: the mask that leaves them.
_MASKS = np.array([(1 << (8 * size)) - 1 for size in range(_WORD + 1)], dtype=np.uint64)
_PRIME, _GOLDEN = np.uint64(0x9FB21C651E98DF25), np.uint64(0x9E3779B97F4A7C15)
_FOLD = np.uint64(32)
#: Below this, levels are sorted as 16-bit numbers.
_SMALL = 1 << 15


def suspicious_lines(chunk: bytes) -> list[int]:
    """Return which lines must be parsed to know that none of their objects holds a member twice.

    Args:
        chunk: Whole lines of UTF-8. What is no JSON may be returned or not: no reader takes it.

    Returns:
        Numbers of lines from 0, ascending.
    """
    text = np.frombuffer(chunk + bytes(_WORD), np.uint8)
    ends = np.flatnonzero(text == _LF)
    slashes = np.flatnonzero(text == _SLASH) if b"\\" in chunk else np.empty(0, np.intp)
    quotes = _unescaped(np.flatnonzero(text == _QUOTE), slashes)
    if quotes.size % 2 or (np.searchsorted(quotes, ends) & 1).any():  # a text does not end on its line
        return list(range(ends.size + 1))
    begins, closes = quotes[::2] + 1, quotes[1::2]
    after = closes + 1
    for _ in range(_BLANKS_MAX):
        blank = _IS_BLANK[text[after]]
        if not blank.any():
            break
        after += blank
    is_name = text[after] == _COLON
    unsure = _IS_BLANK[text[after]]
    is_long = is_name & (closes - begins > _NAME_MAX)
    begins, closes = begins[is_name], closes[is_name]
    hashes = _hashes(text, begins, np.minimum(closes - begins, _NAME_MAX))
    if slashes.size:  # a name with an escape may be equal to one without
        escaped = np.flatnonzero(np.searchsorted(slashes, begins) < np.searchsorted(slashes, closes))
        stretches = zip(begins[escaped].tolist(), closes[escaped].tolist(), strict=True)
        hashes[escaped] = np.array([_hash_unescaped(chunk[begin:end]) for begin, end in stretches], np.uint64)
    hashes += _objects(text, quotes, begins) * _GOLDEN
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    found = [quotes[::2][unsure | is_long]]
    if twice.size:
        found.append(begins[np.isin(hashes, twice)])
    lines: list[int] = np.unique(np.searchsorted(ends, np.concatenate(found))).tolist()
    return lines


def _unescaped(quotes: _Numbers, slashes: _Numbers) -> _Numbers:
    """Return the places of quotation marks that no odd number of backslashes stands before."""
    if not slashes.size:
        return quotes
    is_first = np.append(True, np.diff(slashes) > 1)
    first = np.maximum.accumulate(np.where(is_first, slashes, 0))
    before = np.searchsorted(slashes, quotes) - 1
    known = np.maximum(before, 0)
    behind = (before >= 0) & (slashes[known] == quotes - 1)
    found: _Numbers = quotes[~(behind & ((quotes - first[known]) % 2 == 1))]
    return found


@lru_cache(maxsize=1 << 12)
def _hash_unescaped(name: bytes) -> int:
    """Return the hash of a name without its escapes; any number for one that no reader takes."""
    try:
        plain = json.loads(b'"' + name + b'"').encode(errors="surrogatepass")
    except ValueError:
        return 0
    return int(_hashes(np.frombuffer(plain + bytes(_WORD), np.uint8), np.array([0]), np.array([len(plain)]))[0])


def _hashes(text: _Numbers, begins: _Numbers, sizes: _Numbers) -> _Numbers:
    """Return a 64-bit hash of each stretch of bytes; eight bytes must follow the last."""
    words = np.ndarray((text.size - _WORD + 1,), dtype="<u8", buffer=text.data, strides=(1,))
    found = sizes.astype(np.uint64) * _GOLDEN
    chosen: _Numbers | slice = slice(None)
    done = 0
    while begins.size:
        word = words[begins + done] & _MASKS[np.minimum(sizes - done, _WORD)]
        mixed = (found[chosen] ^ word) * _PRIME
        found[chosen] = mixed ^ (mixed >> _FOLD)
        done += _WORD
        more = np.flatnonzero(sizes > done)
        chosen = more if isinstance(chosen, slice) else chosen[more]
        begins, sizes = begins[more], sizes[more]
    return found


def _objects(text: _Numbers, quotes: _Numbers, names: _Numbers) -> _Numbers:
    """Return for each name the number of the object that it stands in."""
    opens, closes = (_outside(np.flatnonzero(text == one), quotes) for one in (_OPEN, _CLOSE))
    places = np.concatenate([opens, closes, names])
    steps = np.repeat(np.array([1, -1, 0], np.int32), [opens.size, closes.size, names.size])
    order = np.argsort(places, kind="stable")  # merges what is in order already, several times as fast
    steps = steps[order]
    level = np.cumsum(steps, dtype=np.int32)
    if level.size and level.max() < _SMALL:
        level = level.astype(np.int16)  # sorted by digits
    kept = np.flatnonzero(steps >= 0)
    # On one level, the names between the beginnings of two objects are those of the first.
    kept = kept[np.argsort(level[kept], kind="stable")]
    found = np.empty(places.size, np.uint64)
    found[order[kept]] = np.cumsum(steps[kept] == 1)
    return found[opens.size + closes.size :]


def _outside(places: _Numbers, quotes: _Numbers) -> _Numbers:
    """Return the places that do not lie within quotation marks."""
    found: _Numbers = places[np.searchsorted(quotes, places) & 1 == 0]
    return found
