"""Relations of a dbt project, from the `manifest.json` that dbt writes: no dbt is run, and no database is opened.

Facts: https://docs.getdbt.com/reference/artifacts/manifest-json and https://schemas.getdbt.com. Manifests
of dbt 1.0 (schema v4) and later name the relation of each node with the quoting of its adapter (`relation_name`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync.util.suggestions import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from batchsync.core.query import Query

#: Bytes of the largest manifest. Reading one takes about ten times its size in memory.
MANIFEST_BYTES = 128 << 20
#: The oldest schema version with the adapter and the relation of each node.
OLDEST_VERSION = 4
_VERSION = re.compile(r"/manifest/v(\d{1,4})(?:\.json)?$")
#: Kinds of nodes that `ref` names.
_REFERABLE = ("model", "seed", "snapshot")
#: Kinds of databases that the tables of an adapter are in; an adapter of the same name is not listed.
_DATABASES = {"postgres": ("redshift",), "redshift": ("postgres",), "mysql": ("mariadb",), "mysql5": ("mysql",)}
#: Databases that read names without quotation marks as small letters.
_FOLDING = frozenset({"postgres", "redshift"})
#: One name of a relation: quoted as PostgreSQL, MySQL or SQL Server do, or not quoted.
_NAME = re.compile(r'"((?:[^"]|"")+)"|`((?:[^`]|``)+)`|\[((?:[^\]]|\]\])+)\]|([^\W\d][\w$]*)')
_MARKS = ('"', "`", "]")
_COMPILE = "run `dbt compile` in the project of dbt"


class ManifestError(Exception):
    """A manifest or a relation in it that cannot be used.

    Attributes:
        message: What is wrong, to follow the words "the manifest".
        expected: What would be right.
        suggestion: What to do.
        is_of_file: Whether the file is wrong, and not the name that is looked for in it.
    """

    def __init__(self, message: str, expected: str, suggestion: str = "", *, is_of_file: bool = False) -> None:
        """Store the parts of the message."""
        super().__init__(message)
        self.message, self.expected, self.suggestion = message, expected, suggestion
        self.is_of_file = is_of_file

    def again(self) -> ManifestError:
        """Return a copy without the trace of where it was raised before."""
        return ManifestError(self.message, self.expected, self.suggestion, is_of_file=self.is_of_file)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view that dbt builds or knows.

    Attributes:
        names: Its names as the database stores them: database and schema, if they are written, and the table.
        reference: What depends on it in a file of dbt: `ref('mart_guests')` or `source('crm', 'customers')`.
    """

    names: tuple[str, ...]
    reference: str


def relation_of(path: str, name: str, kind: str) -> Relation:
    """Return the relation that a model, seed, snapshot or source has in a database.

    Args:
        path: Absolute path of the manifest.
        name: Name of the node: `mart_guests`, `package.mart_guests`, `mart_guests.v2`, `source.table`, or a unique id.
        kind: Kind of the database of the connection.

    Raises:
        ManifestError: If the manifest cannot be used, or names no such relation of this database.
    """
    manifest = _manifest(path)
    if kind != manifest.adapter and kind not in _DATABASES.get(manifest.adapter, ()):
        message = f"is of the adapter {quoted(manifest.adapter)}, and the connection is a {kind} database"
        raise ManifestError(message, "a connection to the database that dbt builds its models in")
    node = manifest.find(name)
    names = _names(node.relation, fold=kind in _FOLDING)
    if not names:
        raise ManifestError(f"has no relation of {quoted(name)} that can be read", "table: mart.guests instead of dbt")
    return Relation(names, manifest.reference(node))


def relations_of(queries: Iterable[Query]) -> tuple[str, ...]:
    """Return a text for each query of a relation of dbt, which changes if its relation does or cannot be found now."""
    return tuple(
        _relation_text(query.dbt.manifest, query.dbt.model, query.database.kind)
        for query in queries
        if query.dbt is not None
    )


def _relation_text(path: str, name: str, kind: str) -> str:
    try:
        return repr(relation_of(path, name, kind))
    except ManifestError as error:
        return error.message


@dataclass(frozen=True, slots=True)
class _Node:
    """What is kept of a node: its unique id, kind, package, names, version and relation."""

    id: str
    kind: str
    package: str
    name: str
    source: str
    version: str
    is_latest: bool
    is_ephemeral: bool
    relation: str

    def called(self) -> Iterator[str]:
        """Yield the names that the node may be called by."""
        yield self.id
        short = f"{self.source}.{self.name}" if self.source else self.name
        if self.version:
            yield from (f"{short}.v{self.version}", f"{self.package}.{short}.v{self.version}")
        if self.is_latest:
            yield from (short, f"{self.package}.{short}")


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What is kept of a manifest."""

    adapter: str
    nodes: tuple[_Node, ...]
    disabled: frozenset[str]

    def find(self, name: str) -> _Node:
        """Return the node of a name.

        Raises:
            ManifestError: If there is none or several, or it is disabled or ephemeral.
        """
        found = [node for node in self.nodes if name in node.called()]
        if not found and name in self.disabled:
            raise ManifestError(f"says that {quoted(name)} is disabled", "a model that dbt builds", "enable it in dbt")
        if not found:
            known = [next(iter(list(node.called())[-2:])) for node in self.nodes]
            expected = "a model, seed or snapshot of the project, or source.table"
            raise ManifestError(f"has no model {quoted(name)}", expected, did_you_mean(name, known) or _COMPILE)
        if len(found) > 1:
            listed = " or ".join(sorted(node.id for node in found)[:5])
            raise ManifestError(f"has several nodes called {quoted(name)}", listed)
        (node,) = found
        if node.is_ephemeral:
            message = f"says that {quoted(name)} is ephemeral: dbt builds no table or view of it"
            raise ManifestError(message, "a model that is a table or a view", "materialize it: materialized='view'")
        return node

    def reference(self, node: _Node) -> str:
        """Return the call that names a node in files of dbt."""
        if node.source:
            return f"source({_text(node.source)}, {_text(node.name)})"
        others = {item.package for item in self.nodes if not item.source and item.name == node.name}
        names = [_text(node.package), _text(node.name)] if len(others) > 1 else [_text(node.name)]
        versions = [f"v={_version(node.version)}"] if node.version else []
        return f"ref({', '.join((*names, *versions))})"


def _manifest(path: str) -> _Manifest:
    """Return the manifest as the file is now; a file that did not change is read once.

    Raises:
        ManifestError: If it cannot be used.
    """
    try:
        state = Path(path).stat()
    except (OSError, ValueError) as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise ManifestError(reason, "target/manifest.json of a project of dbt", _COMPILE, is_of_file=True) from None
    if state.st_size > MANIFEST_BYTES:
        size = f"{MANIFEST_BYTES >> 20} MiB"
        advice = "name the table itself: table: mart.guests"
        raise ManifestError(f"is larger than {size}", f"at most {size}", advice, is_of_file=True)
    found = _read(path, (state.st_ino, state.st_size, state.st_mtime_ns))
    if isinstance(found, ManifestError):
        raise found.again()
    return found


@lru_cache(maxsize=4)
def _read(path: str, _state: tuple[int, ...]) -> _Manifest | ManifestError:
    """Return the manifest in a file, or why it cannot be used; the state only identifies its content."""
    try:
        with Path(path).open("rb") as file:
            content = json.loads(file.read(MANIFEST_BYTES + 1))
    except OSError:
        return ManifestError("cannot be read", "a file that may be read", is_of_file=True)
    except (ValueError, RecursionError):
        return ManifestError("is not JSON", "the manifest.json that dbt writes", _COMPILE, is_of_file=True)
    try:
        return _parsed(content)
    except ManifestError as error:
        return error
    except (AttributeError, KeyError, TypeError):
        return ManifestError("is not as dbt writes it", "the manifest.json that dbt writes", _COMPILE, is_of_file=True)


def _parsed(content: Any) -> _Manifest:
    """Return what is kept of a manifest.

    Raises:
        ManifestError: If it is none, or too old.
    """
    metadata = content["metadata"]
    version = _VERSION.search(str(metadata.get("dbt_schema_version", "")))
    if version is None:
        raise ManifestError("is not as dbt writes it", "the manifest.json that dbt writes", _COMPILE, is_of_file=True)
    if int(version[1]) < OLDEST_VERSION:
        message = f"has schema version v{int(version[1])}, which is too old"
        expected = f"v{OLDEST_VERSION} or later, which dbt 1.0 writes"
        raise ManifestError(message, expected, "upgrade dbt, and compile again", is_of_file=True)
    nodes = [*content["nodes"].values(), *content["sources"].values()]
    hidden = [item for items in (content.get("disabled") or {}).values() for item in items]
    return _Manifest(
        adapter=str(metadata.get("adapter_type") or ""),
        nodes=tuple(_node(item) for item in _readable(nodes)),
        disabled=frozenset(name for item in _readable(hidden) for name in _node(item).called()),
    )


def _readable(nodes: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes that may have a relation."""
    return (node for node in nodes if node["resource_type"] in {*_REFERABLE, "source"})


def _node(item: Mapping[str, Any]) -> _Node:
    version, latest = item.get("version"), item.get("latest_version")
    return _Node(
        id=str(item["unique_id"]),
        kind=str(item["resource_type"]),
        package=str(item["package_name"]),
        name=str(item["name"]),
        source=str(item.get("source_name") or "") if item["resource_type"] == "source" else "",
        version="" if version is None else str(version),
        is_latest=version is None or version == latest,
        is_ephemeral=(item.get("config") or {}).get("materialized") == "ephemeral",
        relation=str(item.get("relation_name") or ""),
    )


def _names(relation: str, *, fold: bool) -> tuple[str, ...]:
    """Return the names of a relation as a database stores them; empty if it is no sequence of names.

    Args:
        relation: The relation as dbt writes it, with the quoting of its adapter.
        fold: Whether names without quotation marks are stored in small letters.
    """
    names: list[str] = []
    at = 0
    while match := _NAME.match(relation, at):
        *marked, plain = match.groups()
        written = next(((text, mark) for text, mark in zip(marked, _MARKS, strict=True) if text is not None), None)
        if written is not None:
            names.append(written[0].replace(written[1] * 2, written[1]))
        else:
            names.append(plain.lower() if fold else plain)
        at = match.end()
        if at == len(relation):
            return tuple(names)
        if relation[at] != ".":
            return ()
        at += 1
    return ()


def _text(name: str) -> str:
    """Return a name as a text of Python, in which dbt reads references."""
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _version(version: str) -> str:
    return version if version.isdigit() else _text(version)
