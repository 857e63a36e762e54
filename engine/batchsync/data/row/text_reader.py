"""Text files: decoding and decompressing to UTF-8, and bounded reading by polars; base of the readers of text formats.

Compressed files and files in other encodings are copied once to a plain UTF-8 file in the work folder. Lines are
bounded: polars takes a multiple of a line's length in memory.
"""

from __future__ import annotations

import codecs
import os
import re
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, Full, Queue
from threading import Event
from typing import TYPE_CHECKING, ClassVar

from batchsync.data.row.byte_scan import Utf8Validator, count_byte
from batchsync.data.row.compressed import compression_of, iter_plain
from batchsync.data.row.content_kind import HEAD_BYTES, foreign_content
from batchsync.data.row.line_limit import iter_bounded, require_short_lines
from batchsync.data.row.row_reader import SMALL_FILE_BYTES, RowReader, SourceSize
from batchsync.errors import SourceError
from batchsync.util.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    import polars as pl

    from batchsync.data.row.row_reader import SourceFile, SourceFiles

#: Bytes of text that are read at a time.
CHUNK_BYTES = 1 << 20
#: Control characters of ISO 8859, where Windows code pages have quotation marks, dashes and the euro sign.
_CONTROLS = re.compile(rb"[\x80-\x9f]")
#: Bytes of a text file from which the length of a row is estimated.
_SAMPLE_BYTES = 1 << 18
#: Maximum number of frames in the queue.
_QUEUE_MAX = 1
#: Seconds between two checks whether the consumer has stopped.
_PAUSE = 0.2
_LF = ord("\n")

# The default chunk size of polars takes half a gigabyte of memory.
os.environ.setdefault("POLARS_CSV_CHUNK_SIZE", str(4 << 20))
os.environ.setdefault("POLARS_CSV_CHUNK_PREFETCH_LIMIT", "2")
os.environ.setdefault("POLARS_NDJSON_CHUNK_SIZE", str(4 << 20))
os.environ.setdefault("POLARS_NDJSON_CHUNK_PREFETCH_LIMIT", "4")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A text file in its declared encoding.

    Attributes:
        path: The file, plain or compressed.
        encoding: Name of a Python text encoding.
        reader_skips_bom: Whether the reader of the file skips a UTF-8 byte order mark.
    """

    path: Path
    encoding: str
    reader_skips_bom: bool = True

    @property
    def is_readable_in_place(self) -> bool:
        """Whether the file can be read without decoding a copy of it."""
        if codec_name(self.encoding) != "utf-8" or compression_of(self.path):
            return False
        if self.reader_skips_bom:
            return True
        with self.path.open("rb") as stream:
            return stream.read(3) != codecs.BOM_UTF8


def codec_name(encoding: str) -> str:
    """Return the canonical name of an encoding; `utf-8` with or without byte order mark.

    Raises:
        SourceError: If Python has no text encoding of that name.
    """
    try:
        found = codecs.lookup(encoding)
        b"".decode(encoding)
    except LookupError:
        hint = "Usual names are utf-8, latin-1, cp1252 and utf-16."
        raise SourceError(f"unknown text encoding {encoding!r}", hint=hint) from None
    return {"utf-8-sig": "utf-8"}.get(found.name, found.name)


def iter_text(file: TextFile) -> Generator[bytes, None, None]:
    """Yield the decompressed text of a file as UTF-8 without byte order mark.

    Yields:
        Non-empty chunks of any size; they may split characters and lines.

    Raises:
        SourceError: If the file is truncated or damaged, cannot be read, or contains a byte that the declared
            encoding does not allow (with the line number), or a control character that ISO 8859 alone allows.
    """
    line = 1
    codec = codec_name(file.encoding)
    is_utf8 = codec == "utf-8"
    validator = Utf8Validator()
    decoder = codecs.getincrementaldecoder("utf-8" if is_utf8 else file.encoding)(errors="strict")
    is_first = True
    for chunk in _iter_bytes(file, CHUNK_BYTES):
        data = encoded = chunk.removeprefix(codecs.BOM_UTF8) if is_first and is_utf8 else chunk
        try:
            if is_utf8:
                validator.check(data, final=not chunk)
            else:
                text = decoder.decode(data, final=not chunk)
                encoded = text.removeprefix("\ufeff" if is_first else "").encode()
        except UnicodeError as error:
            before = bytes(error.object[: error.start]) if isinstance(error, UnicodeDecodeError) else b""
            invalid = _encoding_error(file, line + before.count(b"\n"))
            raise invalid from None
        if codec.startswith("iso8859") and (found := _CONTROLS.search(data)):
            invalid = _control_error(file, line + data[: found.start()].count(b"\n"), data)
            raise invalid
        is_first = False
        line += count_byte(encoded, _LF)
        if encoded:
            yield encoded


def _iter_bytes(file: TextFile, chunk_bytes: int) -> Generator[bytes, None, None]:
    """Yield the decompressed bytes of a file, and an empty chunk at the end."""
    yield from iter_plain(file.path, chunk_bytes)
    yield b""


def _encoding_error(file: TextFile, line: int) -> SourceError:
    """Return the error for a byte that the encoding does not allow."""
    return SourceError(
        f"{file.path}:{line}: a byte on this line is not valid {file.encoding}",
        hint="Declare source.encoding (cp1252 for most exports of Windows), or export the file as UTF-8.",
        name="source.encoding",
    )


def _control_error(file: TextFile, line: int, data: bytes) -> SourceError:
    """Return the error for a control character in a file declared as ISO 8859; `data` is the chunk with it."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
        likely = "utf-8"
    except UnicodeDecodeError:
        likely = "cp1252"
    message = f"{file.path}:{line}: a byte on this line is a control character (U+0080 to U+009F) in {file.encoding}"
    return SourceError(message, hint=f"The file seems to be {likely}: set source.encoding: {likely}.")


def require_text(file: TextFile) -> None:
    """Refuse a file that is no text in its declared encoding, as far as its first bytes show.

    Raises:
        SourceError: If it is an archive of several files, compressed in an unknown way, or a file of another format or
            encoding.
    """
    head = b""
    stream = _iter_bytes(file, HEAD_BYTES)
    for chunk in stream:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    stream.close()
    if found := foreign_content(head, codec_name(file.encoding)):
        raise SourceError(f"{file.path} is {found[0]}", hint=found[1])


def readable_copy(file: TextFile, work: Path, *, fresh: bool) -> Path:
    """Return a plain UTF-8 file with the text: the file itself, or a complete copy in the work folder.

    Args:
        file: The source file.
        work: Existing folder for copies.
        fresh: Whether to replace an earlier copy instead of using it.

    Returns:
        Path of a plain UTF-8 file.

    Raises:
        SourceError: If the file cannot be read or decoded, or a line is longer than `LINE_MAX`.
    """
    if file.is_readable_in_place:
        if fresh:
            require_short_lines(file.path)
        return file.path
    name = sha256_of(os.fsencode(file.path))[:16]
    copy = work / f"source-{name}.txt"
    if copy.exists() and not fresh:
        return copy
    partial = copy.with_suffix(".partial")
    with partial.open("wb") as out:
        for chunk in iter_bounded(file.path, iter_text(file)):
            out.write(chunk)
    partial.replace(copy)
    return copy


def read_beginning(file: TextFile, size: int) -> bytes:
    """Return at least the first `size` bytes of the text, or all of it, as UTF-8."""
    found = bytearray()
    stream = iter_text(file)
    for chunk in stream:
        found += chunk
        if len(found) >= size:
            break
    stream.close()
    return bytes(found)


def iter_batches(rows: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    """Run a query in a background thread at the pace of the consumer, to whom its errors are raised.

    polars alone would read ahead without a limit on memory.

    Yields:
        Its rows in order, in frames of `size` rows.
    """
    queue: Queue[pl.DataFrame | None] = Queue(_QUEUE_MAX)
    stop = Event()

    def put(frame: pl.DataFrame | None) -> bool:
        while not stop.is_set():
            try:
                queue.put(frame, timeout=_PAUSE)
            except Full:
                continue
            return False
        return True

    def run() -> None:
        try:
            rows.sink_batches(put, chunk_size=size, maintain_order=True, engine="streaming")
        finally:
            put(None)

    with ThreadPoolExecutor(1) as pool:
        producer = pool.submit(run)
        try:
            while (frame := queue.get()) is not None:
                yield frame
            producer.result()
        finally:
            stop.set()
            _drain(queue)


def _drain(queue: Queue[pl.DataFrame | None]) -> None:
    """Empty the queue to unblock the producer."""
    while True:
        try:
            queue.get_nowait()
        except Empty:
            return


class TextReader(RowReader):
    """Reader of a text format that polars scans."""

    #: Whether polars skips a UTF-8 byte order mark in files of this format.
    skips_bom: ClassVar[bool] = False

    def prepare(self, file: SourceFile) -> Path:
        """Return a plain UTF-8 file with the text: the file itself, or a complete copy in the work folder."""
        return readable_copy(self._text_file(file.source, file.path), file.work, fresh=file.fresh)

    def read(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        """Read a plain UTF-8 file at the pace of the consumer, a small one at once.

        Returns:
            The frames that `RowReader.read` describes.
        """
        return self.run(self.scan(file), file)

    def run(self, rows: pl.LazyFrame, file: SourceFile) -> Iterator[pl.DataFrame]:
        """Run a scan of a plain UTF-8 file at the pace of the consumer, of a small one at once.

        Returns:
            The rows in order.
        """
        if file.path.stat().st_size <= SMALL_FILE_BYTES:
            return iter([rows.collect(engine="streaming")])
        return iter_batches(rows, file.chunk_rows)

    @abstractmethod
    def scan(self, file: SourceFile) -> pl.LazyFrame:
        """Return a scan of a plain UTF-8 file: `ROW` from 0, and the columns in the order of the source."""

    def size(self, source: SourceFiles) -> SourceSize:
        """Return the size of a source, with the length of a row estimated from the beginning of the first file."""
        files = [self._text_file(source, path) for path in source.files]
        if not all(file.is_readable_in_place for file in files):
            return SourceSize()
        size = sum(file.path.stat().st_size for file in files)
        start = read_beginning(files[0], _SAMPLE_BYTES)
        lines = start.count(b"\n")
        return SourceSize(None, size, len(start) / lines) if lines else SourceSize()

    def _text_file(self, source: SourceFiles, path: Path) -> TextFile:
        return TextFile(path=path, encoding=source.encoding, reader_skips_bom=self.skips_bom)
