"""Compile the `suppress:` block of a job: the list is a source of its own, with one column that matters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.job import Suppress
from batchsync.core.source_path import STDIN
from batchsync.core.suppressed import OnSuppressed
from batchsync.spec.compile_source import Elsewhere, compile_source, written_paths
from batchsync.spec.interpolate import TypedMap, Value
from batchsync.spec.models_source import SourceModel
from batchsync.spec.source_paths import check_source_paths

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.job import Removal
    from batchsync.spec.interpolate import Typed, TypedEntry
    from batchsync.spec.models_suppress import SuppressModel
    from batchsync.spec.problems import Problems
    from batchsync.util.path_fence import PathFence

#: Keys of the block that are those of a source.
_SOURCE_KEYS = (
    *("path", "connection", "query", "table", "dbt", "delta", "sheet"),
    *("format", "delimiter", "encoding", "key"),
)
#: Keys of which one says where the list is.
_WHERE = ("path", "connection", "delta", "dbt", "query", "table")


def compile_suppress(
    model: SuppressModel, written: TypedEntry, folder: Path, fence: PathFence, problems: Problems, elsewhere: Elsewhere
) -> Suppress | None:
    """Compile a suppress block.

    Args:
        model: The validated block.
        written: The same block with places.
        folder: Absolute folder of jobs.yaml.
        fence: Where paths may lead.
        problems: Receives the problems.
        elsewhere: Compiles what is read of a list that is no local file.

    Returns:
        The suppression list; None after reporting that it is no mapping or names no rows.
    """
    node = written.value
    if not isinstance(node, TypedMap):
        return None
    if all(getattr(model, name) is None for name in _WHERE):
        expected = "path: data/opt-outs.csv, or connection: <database> with a query or table"
        problems.add("missing_key", written.start, '"suppress" has no "path"', expected)
        return None
    if model.path == STDIN:
        problem = '"suppress" is standard input, which can be read once only'
        problems.add("value", _at(node, "path"), problem, "a file: the list is read again before each upload")
        return None
    if model.key.startswith("="):
        problems.add("value", _at(node, "key"), '"key" is an expression', "the name of a column of the list")
        return None
    given = {name: value for name in _SOURCE_KEYS if (value := getattr(model, name)) is not None}
    source_model = SourceModel.model_validate(given)
    check_source_paths(source_model, node, folder, fence, problems)
    source = compile_source(source_model, node, written.start, folder, problems, elsewhere)
    return Suppress(
        source=replace(source, roots=fence.roots),
        column=model.matches or model.key,
        then=OnSuppressed(model.then),
        place=problems.source.place(written.start),
    )


def check_suppress(
    suppress: Suppress | None, node: Typed | None, removal: Removal | None, problems: Problems, *, known: bool
) -> None:
    """Report `then: remove` in a job that has no mode that removes.

    Args:
        suppress: The compiled block.
        node: The block with places.
        removal: Removal of the job; None if it removes nothing.
        problems: Receives the problems.
        known: Whether the removal of the job was valid.
    """
    if known and suppress is not None and suppress.then is OnSuppressed.REMOVE and removal is None:
        message = '"then: remove" in a job that removes nothing at its target'
        problems.add("suppress", _at(node, "then"), message, "on_removed: <a removing mode of the vendor>")


def suppressing_paths(suppress: Suppress | None, node: Typed | None) -> tuple[str, ...]:
    """Return what of a suppression list decides which keys are removed: its path as written, if it removes."""
    if suppress is None or suppress.then is OnSuppressed.KEEP or not isinstance(node, TypedMap):
        return ()
    return ("suppress", *written_paths(node), suppress.source.path if suppress.source.query else "", suppress.column)


def _at(node: Typed | None, name: str) -> int:
    """Return the index of a value of the block, or of the block."""
    found = node.get(name) if isinstance(node, TypedMap) else None
    if isinstance(found, Value):
        return found.start
    return node.start if node is not None else 0
