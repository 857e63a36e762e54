"""Content of a file that is no text in its declared encoding, recognized by its first bytes."""

from __future__ import annotations

import codecs

#: Number of bytes that are needed.
HEAD_BYTES = 16
_UNPACK = "Unpack it, and declare the file in it; plain text is read, and gzip, zip, zstd and bzip2."
_EXPORT = "Export it as CSV or JSON lines, or declare another source.format."
_TWICE = "Unpack it once; the file in it is read, plain or compressed."
#: First bytes, what they mean, and what to do. Compressed files are decompressed before.
_KINDS = (
    (b"PK\x03\x04", "a zip archive in a compressed file", _TWICE),
    (b"PK\x05\x06", "a zip archive in a compressed file", _TWICE),
    (b"PK\x07\x08", "a part of a zip archive in several parts", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd in a compressed file: it was compressed twice", _TWICE),
    (b"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "compressed with lz4", _UNPACK),
    (b"\x1f\x8b\x08", "gzip in a compressed file: it was compressed twice", _TWICE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)", _EXPORT),
    (b"PAR1", "a Parquet file", "Set source.format: parquet."),
    (b"ARROW1\x00\x00", "an Arrow file", _EXPORT),
    (b"SQLite format 3\x00", "a SQLite database", _EXPORT),
    (b"%PDF-", "a PDF document", _EXPORT),
)
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Positions of zero bytes in the first four bytes of text that begins with two characters of ASCII.
_ZEROS = {(1, 3): "utf-16-le", (0, 2): "utf-16-be", (1, 2, 3): "utf-32-le", (0, 1, 2): "utf-32-be"}


def foreign_content(head: bytes, codec: str) -> tuple[str, str] | None:
    """Return what a file is, if it is certainly not text in a codec.

    Args:
        head: First bytes of the file, decompressed; at least `HEAD_BYTES`, if it has as many.
        codec: Canonical name of the declared codec.

    Returns:
        What the file is, to follow "is", and a hint; None for what may be text.
    """
    for magic, name, hint in _KINDS:
        if head.startswith(magic):
            return name, hint
    if head.startswith(b"BZh") and head[4:10] in _BZIP2_BLOCKS:
        return "bzip2 in a compressed file: it was compressed twice", _TWICE
    if codec.startswith(("utf-16", "utf-32")):
        return None
    zeros = tuple(index for index, byte in enumerate(head[:4]) if not byte)
    marked = next((name for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), None)
    if encoding := marked or (_ZEROS.get(zeros) if len(head) >= len(codecs.BOM_UTF32_LE) else None):
        return f"text in {encoding}, but {codec} is declared", f"Set source.encoding: {encoding}."
    return None
