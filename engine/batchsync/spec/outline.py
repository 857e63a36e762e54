"""Names that a jobs file declares, read without validation, for completion in the shell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.spec.include import read_files
from batchsync.spec.located_yaml import Map, Scalar, Seq

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.spec.located_yaml import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Names of jobs, connections, tags and environments, in the order of the files."""

    jobs: tuple[str, ...] = ()
    connections: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()


def outline_of(path: Path, jobs_folder: Path | None = None) -> Outline:
    """Return the names that a jobs file and what it includes declare; the files may be invalid otherwise.

    Raises:
        SpecError: If the file cannot be read.
    """
    tree = read_files(path, jobs_folder=jobs_folder).tree
    jobs = _block(tree, "jobs")
    tags = (
        item.text
        for block in jobs.values()
        for key, value in _entries(block).items()
        if key == "tags" and isinstance(value, Seq)
        for item in value.items
        if isinstance(item, Scalar)
    )
    return Outline(
        jobs=tuple(jobs),
        connections=tuple(_block(tree, "connections")),
        tags=tuple(dict.fromkeys(tags)),
        environments=tuple(_block(tree, "environments")),
    )


def _block(tree: Node | None, name: str) -> dict[str, Node]:
    return _entries(_entries(tree).get(name))


def _entries(node: Node | None) -> dict[str, Node]:
    return {entry.key: entry.value for entry in node.entries} if isinstance(node, Map) else {}
