"""Read CSV files of a vendor (results, and row logs in CSV) in the form that its vendor spec names.

Another form is refused with the setting that would read it, not guessed: a file that is read in a wrong encoding or
with a wrong delimiter would lose answers without an error.
"""

from __future__ import annotations

import codecs
import io
import zipfile
import zlib
from typing import TYPE_CHECKING

import polars as pl

from batchsync.errors import AmbiguousOutcomeError, PermanentError

if TYPE_CHECKING:
    from batchsync.core.vendor_rules import TableForm

#: Begin of a ZIP archive, and of an empty one.
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SETTING = "vendor.yaml, row_log.tables"
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}


def parse_table(data: bytes, name: str, form: TableForm, bytes_max: int) -> pl.DataFrame:
    """Return a CSV file as strings.

    Args:
        data: Bytes of the file.
        name: Name of the file, for messages.
        form: Form that the vendor spec names.
        bytes_max: Maximum number of bytes of the file in a ZIP archive.

    Returns:
        The table; without columns if the file is blank.

    Raises:
        AmbiguousOutcomeError: If the file is damaged, or not in the encoding of the form.
        PermanentError: If the file has another form.
    """
    if data.startswith(_ZIP):
        if not form.zip:
            raise PermanentError(f"{name} is a ZIP archive; {_SETTING}: set zip: true")
        data = _unzipped(data, name, bytes_max)
    elif form.zip and data.strip():
        raise AmbiguousOutcomeError(f"{name} is no ZIP archive, as {_SETTING}.zip says")
    if data.startswith(_UTF_16) and form.encoding != "utf-16":
        raise PermanentError(f"{name} is UTF-16; {_SETTING}: set encoding: utf-16")
    text = _decoded(data, name, form.encoding)
    if not text.strip():
        return pl.DataFrame()
    _check_delimiter(text, name, form.delimiter)
    try:
        return pl.read_csv(text.encode(), separator=form.delimiter, infer_schema=False, null_values=[""])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        pass
    raise AmbiguousOutcomeError(f"the row log arrived damaged: {name} is not CSV")


def _unzipped(data: bytes, name: str, bytes_max: int) -> bytes:
    """Return the only file of a ZIP archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [item for item in archive.infolist() if not item.is_dir()]
            if len(files) == 1 and files[0].file_size <= bytes_max:
                return archive.read(files[0])
            problem = f"{name} holds {len(files)} files" if len(files) != 1 else f"{name} expands beyond {bytes_max}"
    except (zipfile.BadZipFile, zlib.error, RuntimeError):
        problem = ""
    if problem:
        raise PermanentError(f"{problem}; one table of at most {bytes_max} bytes is expected")
    raise AmbiguousOutcomeError(f"the row log arrived damaged: {name} is no readable ZIP archive")


def _decoded(data: bytes, name: str, encoding: str) -> str:
    """Return the text of a file, without a byte-order mark."""
    try:
        return data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError:
        pass
    raise AmbiguousOutcomeError(
        f"the row log arrived damaged: {name} is not {encoding}; if it is whole, name its encoding in {_SETTING}"
    )


def _check_delimiter(text: str, name: str, delimiter: str) -> None:
    """Refuse a table whose header has other delimiters and not the declared one."""
    header = text.lstrip("\r\n").split("\n", 1)[0]
    others = [item for item in _DELIMITERS if item != delimiter and item in header]
    if delimiter not in header and others:
        found = _DELIMITERS[max(others, key=header.count)]
        raise PermanentError(f"{name} is separated by {found}; {_SETTING}: set delimiter")
