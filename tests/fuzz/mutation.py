"""Mutations of examples: bytes, tokens and numbers that parsers get wrong. The same seed gives the same inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

#: Bytes and texts that end, escape or repeat something in many formats.
COMMON = (
    *(
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b"\r\n",
        b"\t",
        b" ",
        b'"',
        b"'",
        b"\\",
        b",",
        b";",
    ),
    *(b":", b"{", b"}", b"[", b"]", b"(", b")", b"#", b"&", b"*", b"!", b"%", b"@", b"`", b"$", b"|", b"=", b"-", b"<"),
    *(b"null", b"NaN", b"-0", b"1e999", b"9223372036854775808", b"0.1", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\\u0000"),
)
_SIZE_MAX = 60_000
_STEPS_MAX = 6


def mutated(random: Random, examples: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """Return an input made from examples.

    Args:
        random: Source of all choices.
        examples: Inputs that are valid or nearly so.
        tokens: Parts that mean something in the format.
    """
    data = bytearray(random.choice(examples))
    for _ in range(random.randint(1, _STEPS_MAX)):
        random.choice(_MUTATIONS)(random, data, examples, tokens)
        del data[_SIZE_MAX:]
    return bytes(data)


def _span(random: Random, data: bytearray) -> slice:
    begin = random.randint(0, len(data))
    return slice(begin, min(len(data), begin + random.choice((0, 1, 1, 2, 4, 16, 100))))


def _flip(random: Random, data: bytearray, _examples: Sequence[bytes], _tokens: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _insert(random: Random, data: bytearray, _examples: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    data[_span(random, data)] = random.choice((*tokens, *COMMON))


def _repeat(random: Random, data: bytearray, _examples: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    part = random.choice((bytes(data[_span(random, data)]), random.choice((*tokens, *COMMON))))
    at = random.randint(0, len(data))
    data[at:at] = part * random.choice((1, 2, 3, 40, 400))


def _remove(random: Random, data: bytearray, _examples: Sequence[bytes], _tokens: Sequence[bytes]) -> None:
    del data[_span(random, data)]


def _truncate(random: Random, data: bytearray, _examples: Sequence[bytes], _tokens: Sequence[bytes]) -> None:
    del data[random.randint(0, len(data)) :]


def _splice(random: Random, data: bytearray, examples: Sequence[bytes], _tokens: Sequence[bytes]) -> None:
    other = random.choice(examples)
    begin = random.randint(0, len(other))
    data[_span(random, data)] = other[begin : begin + random.randint(0, 200)]


_MUTATIONS = (_flip, _insert, _insert, _insert, _repeat, _remove, _truncate, _splice)
