"""Compile the `join:` list of a source into `Join` values: local files, and rows elsewhere, which each run lands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.job import Join, Source
from batchsync.core.object_storage import StoredFiles
from batchsync.core.query import Query
from batchsync.core.sheet import Sheet
from batchsync.core.source_path import STDIN, format_by_ending, scheme_of
from batchsync.spec.compile_query import reads_database
from batchsync.spec.interpolate import TypedMap, TypedSeq
from batchsync.util.plugins import SOURCE_FETCHERS, plugin_names
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.core.csv_dialect import CsvDialect
    from batchsync.spec.compile_query import QueryCompiler
    from batchsync.spec.compile_storage import StorageCompiler
    from batchsync.spec.interpolate import Typed
    from batchsync.spec.models_source import JoinModel, SourceModel
    from batchsync.spec.problems import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinCompiler:
    """Compiler of the joins of one source.

    Attributes:
        folder: Absolute folder of jobs.yaml.
        delimiter: Separator of CSV fields of the source, which joined files share.
        dialect: CSV dialect of the source.
        queries: Compiles the queries of joins that read a database.
        stored: Compiles joins with files in storage and Delta tables.
        problems: Receives the problems.
    """

    folder: str
    delimiter: str
    dialect: CsvDialect
    queries: QueryCompiler
    stored: StorageCompiler
    problems: Problems

    def compile(self, model: SourceModel, node: TypedMap) -> tuple[Join, ...]:
        """Return the joins of a source; those with a problem are left out after reporting it.

        Args:
            model: The validated block of the source.
            node: The same block with places.
        """
        items = node.get("join")
        blocks = items.items if isinstance(items, TypedSeq) else ()
        pairs = zip(model.join, blocks, strict=False)
        found = (self._join(model, join, block) for join, block in pairs if isinstance(block, TypedMap))
        return tuple(join for join in found if join is not None)

    def _join(self, source: SourceModel, model: JoinModel, node: TypedMap) -> Join | None:
        sheet = compile_sheet(model, node, self.problems)
        elsewhere: Source | None = None
        if self.stored.is_stored(model):
            stored = self.stored.compile(model, node, node.start, block="join")
            if stored is None:
                return None
            path, elsewhere = stored.title, self._elsewhere(source, model, sheet, stored)
        elif reads_database(model):
            query = self.queries.compile(model, node, node.start, block="join")
            if query is None:
                return None
            path, elsewhere = query.title, self._elsewhere(source, model, sheet, query)
        else:
            path = model.path or ""
            if not path:
                expected = "path: data/segments.csv, or connection: <database> with a query"
                self.problems.add("missing_key", node.start, '"join" has no "path"', expected)
            self._check_path(path, at(node, "path"))
            if scheme_of(path):
                elsewhere = self._elsewhere(source, model, sheet, None)
        place = self.problems.source.place(node.start)
        return Join(path=path, on=model.on, sheet=sheet, source=elsewhere, place=place)

    def _elsewhere(
        self, source: SourceModel, model: JoinModel, sheet: Sheet, read: Query | StoredFiles | None
    ) -> Source:
        """Return the source of a join that is landed. Its files are read with the settings of the source."""
        return Source(
            path=read.title if read is not None else model.path or "",
            folder=self.folder,
            key=tuple(right for _, right in model.on),
            delimiter=self.delimiter,
            encoding=source.encoding or "utf-8",
            dialect=self.dialect.of_joined_files(),
            nulls=tuple(source.nulls),
            sheet=sheet,
            query=read if isinstance(read, Query) else None,
            stored=read if isinstance(read, StoredFiles) else None,
        )

    def _check_path(self, path: str, start: int) -> None:
        """Report standard input, and files elsewhere that no installed package fetches."""
        if scheme := scheme_of(path):
            check_scheme(scheme, start, self.problems)
        elif path == STDIN:
            self.problems.add("source_scheme", start, "a join with standard input", "a local file")


def check_scheme(scheme: str, start: int, problems: Problems) -> None:
    """Report files elsewhere that no installed package fetches.

    Args:
        scheme: Scheme of their path.
        start: Index of the path in the text.
        problems: Receives the problem.
    """
    installed = plugin_names(SOURCE_FETCHERS)
    if scheme not in installed:
        known = "".join(f", or a path that begins with {name}://" for name in installed)
        problems.add(
            "source_scheme",
            start,
            f"no installed package fetches {quoted(scheme + '://')}",
            f"a local file{known}",
            problems.suggest(scheme, installed) or "download the file first, or install a package that fetches it",
        )


def compile_sheet(model: SourceModel | JoinModel, node: Typed, problems: Problems) -> Sheet:
    """Return what is read of a workbook; report it for files of another format.

    Args:
        model: The validated block.
        node: The same block with places.
        problems: Receives the problems.
    """
    kind = getattr(model, "format", None) or format_by_ending(model.path or "")
    for name in ("sheet", "range"):
        if getattr(model, name) is not None and kind != "excel":
            problems.add("source", at(node, name), f"{quoted(name)} without a workbook", f"{name} only with .xlsx")
    return Sheet(name=model.sheet, cells=model.range)


def at(node: Typed, key: str) -> int:
    """Return the index of a key's value, or of the block if the key is absent."""
    value = node.get(key) if isinstance(node, TypedMap) else None
    return value.start if value is not None else node.start
