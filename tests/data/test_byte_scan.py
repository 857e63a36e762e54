"""Validation of UTF-8 and counting of bytes agree with Python, however a text is cut."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.data.row import byte_scan
from batchsync.data.row.byte_scan import Utf8Validator, count_byte

_VALID = st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace"))
#: Characters, parts of characters, overlong forms, surrogates and code points beyond the last one.
_ODD = st.sampled_from(
    [
        b"\xc3",
        b"\xa9",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xff",
        b"\xf8",
    ]
)
_CHUNKS = st.lists(_VALID | _ODD | st.binary(max_size=6), max_size=8)


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the native functions for short texts, too."""
    monkeypatch.setattr(byte_scan, "_LARGE", 1)


def _first_error(chunks: list[bytes]) -> tuple[int, bytes, int] | None:
    """Return the chunk, the bytes and the position of the first error of Python's decoder."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for number, chunk in enumerate([*chunks, b""]):
        try:
            decoder.decode(chunk, final=number == len(chunks))
        except UnicodeDecodeError as error:
            return number, bytes(error.object), error.start
    return None


@given(_CHUNKS)
def test_validator_finds_the_first_error_of_the_decoder(chunks: list[bytes]) -> None:
    validator, found = Utf8Validator(), None
    for number, chunk in enumerate([*chunks, b""]):
        try:
            validator.check(chunk, final=number == len(chunks))
        except UnicodeDecodeError as error:
            found = number, bytes(error.object), error.start
            break
    assert found == _first_error(chunks)


@given(st.binary(max_size=40), st.integers(0, 255))
def test_bytes_are_counted(data: bytes, byte: int) -> None:
    assert count_byte(data, byte) == data.count(byte)
