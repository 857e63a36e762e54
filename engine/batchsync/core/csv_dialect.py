"""Dialect of a CSV file, besides its delimiter and encoding."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvDialect:
    """How a CSV file is written. The default is what most exports write: a header line, and doubled quotation marks.

    Attributes:
        header: Whether the first line that is neither skipped nor a comment names the columns.
        columns: Names of the columns of a file without header.
        skip_rows: Number of lines before the header or the first row.
        comment: Begin of lines that are no rows; empty if there are none.
        quote: Quotation mark; empty if quotation marks are data.
        escape: Character before a quotation mark, a delimiter or itself that is data; empty if there is none.
    """

    header: bool = True
    columns: tuple[str, ...] = ()
    skip_rows: int = 0
    comment: str = ""
    quote: str = '"'
    escape: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether nothing differs from the default."""
        return self == CsvDialect()

    def of_joined_files(self) -> CsvDialect:
        """Return the dialect of joined files: they are quoted like the source, but have a header of their own."""
        return replace(self, header=True, columns=(), skip_rows=0, comment="")

    def to_json(self) -> list[object]:
        """Return all settings, for hashes."""
        return [self.header, list(self.columns), self.skip_rows, self.comment, self.quote, self.escape]
