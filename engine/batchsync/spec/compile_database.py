"""Compile databases of `connections:`. References stay as written, and no database is opened."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from batchsync.core.query import FILE_KINDS, KINDS, STATEMENT_TIMEOUT, Database, Server
from batchsync.core.source_path import UNREAD
from batchsync.spec.compile_connection import variable_name
from batchsync.spec.credentials import FORMS, credential_objection, secret_paths
from batchsync.spec.interpolate import TypedMap
from batchsync.spec.models_database import DatabaseModel
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.spec.interpolate import TypedEntry
    from batchsync.spec.model_validator import ModelValidator
    from batchsync.spec.problems import Problems
    from batchsync.util.path_fence import PathFence

_PLACEHOLDERS = {"database": "sqlite"}
OF_FILES = ("path",)
OF_URL = ("host", "port", "dbname", "user", "password")
OF_SERVERS = ("url", *OF_URL, "sslmode", "sslrootcert", "statement_timeout")
#: A host name or address, or the path of a socket or its folder.
_HOST = re.compile(r"[A-Za-z0-9_:%.-]+|/[^\s,@?#=&']*")


def is_database(entry: TypedEntry) -> bool:
    """Return whether a connection is a database; it is a vendor account otherwise."""
    return isinstance(entry.value, TypedMap) and entry.value.entry("database") is not None


class DatabaseCompiler:
    """Compiles the databases of one file."""

    def __init__(self, folder: Path, validator: ModelValidator, fence: PathFence, problems: Problems) -> None:
        """Keep the collaborators.

        Args:
            folder: Absolute folder of jobs.yaml; relative paths start here.
            validator: Validates blocks against pydantic models.
            fence: Where paths may lead.
            problems: Receives the problems.
        """
        self._folder = folder
        self._validator = validator
        self._fence = fence
        self._problems = problems

    def compile(self, entry: TypedEntry) -> Database | None:
        """Compile an entry of `connections:` that is a database.

        Args:
            entry: The entry, a mapping.

        Returns:
            The database; None after reporting problems.
        """
        if not isinstance(entry.value, TypedMap):
            return None
        before = len(self._problems)
        validated = self._validator.validate(DatabaseModel, entry.value, quoted(entry.key), entry.start, _PLACEHOLDERS)
        self._check_secrets(entry.key, entry.value)
        if not validated.invalid:
            self._check_keys(validated.model, entry)
        if len(self._problems) > before:
            return None
        self._check_paths(validated.model, entry)
        return self._database(validated.model, entry)

    def _database(self, model: DatabaseModel, entry: TypedEntry) -> Database:
        is_file = model.database in FILE_KINDS
        return Database(
            name=entry.key,
            kind=model.database,
            path=self._absolute(model.path),
            roots=self._fence.roots,
            folder=str(self._folder),
            server=None
            if is_file
            else Server(
                url=model.url or "",
                host=model.host or "",
                port=model.port,
                dbname=model.dbname or "",
                user=model.user or "",
                password=model.password or "",
                sslmode=model.sslmode or "",
                sslrootcert=self._absolute(model.sslrootcert),
            ),
            statement_timeout=model.statement_timeout or STATEMENT_TIMEOUT,
            place=self._problems.source.place(entry.start),
        )

    def _check_keys(self, model: DatabaseModel, entry: TypedEntry) -> None:
        """Report keys that are missing, or do not fit the kind."""
        add, title = self._problems.add, KINDS[model.database]
        is_file = model.database in FILE_KINDS
        for name in OF_SERVERS if is_file else OF_FILES:
            if getattr(model, name) is not None:
                expected = (
                    "path: shop.db" if is_file else f"url: {self._reference(entry.key, 'url')}, or host and dbname"
                )
                add("connection", _at(entry, name), f"{quoted(name)} of a {title} database", expected)
        if not is_file:
            self._check_server(model, entry)
        elif model.path is None and model.database == "sqlite":
            add("missing_key", entry.start, f'{quoted(entry.key)} has no "path"', "path: shop.db")

    def _check_server(self, model: DatabaseModel, entry: TypedEntry) -> None:
        """Report a server whose place is missing, given twice, or no host."""
        add = self._problems.add
        for name in OF_URL if model.url is not None else ():
            if getattr(model, name) is not None:
                message = f"{quoted(name)} in addition to a url, which contains it"
                add("connection", _at(entry, name), message, "either url or host, port, dbname, user and password")
        for name in ("host", "dbname") if model.url is None else ():
            if getattr(model, name) is None:
                expected = f"{name}: ..., or url: {self._reference(entry.key, 'url')} with everything"
                add("missing_key", entry.start, f"{quoted(entry.key)} has no {quoted(name)}", expected)
        if model.host is not None and UNREAD not in model.host and not _HOST.fullmatch(model.host):
            add("value", _at(entry, "host"), '"host" is no host', "the name or address of one server, without port")

    def _check_paths(self, model: DatabaseModel, entry: TypedEntry) -> None:
        """Report files that may not be opened."""
        paths = [(name, self._absolute(getattr(model, name))) for name in ("path", "sslrootcert")]
        references = [(name, path) for name in ("url", "password") for path in secret_paths([getattr(model, name)])]
        for name, path in (*paths, *references):
            if not path:
                continue
            objection = self._fence.objection(path) if name == "path" else self._fence.file_objection(path)
            if objection:
                self._problems.add("path", _at(entry, name), f"{quoted(name)} {objection}", self._fence.advice)

    def _check_secrets(self, connection: str, node: TypedMap) -> None:
        """Report URLs and passwords that are no references."""
        for name in ("url", "password"):
            entry = node.entry(name)
            written = getattr(entry.value, "value", None) if entry is not None else None
            if entry is None or written is None:
                continue
            if reason := credential_objection(str(written)):
                advice = f"write {name}: {self._reference(connection, name)}"
                self._problems.add("literal_secret", entry.value.start, f"{quoted(name)}: {reason}", FORMS, advice)

    def _reference(self, connection: str, name: str) -> str:
        return f"${{{variable_name(connection, name)}}}"

    def _absolute(self, written: str | None) -> str:
        """Return a path of jobs.yaml as an absolute one; empty without one."""
        return os.path.normpath(self._folder / written) if written else ""


def _at(entry: TypedEntry, key: str) -> int:
    """Return the index of a key's value, or of the entry if the key is absent."""
    value = entry.value.get(key) if isinstance(entry.value, TypedMap) else None
    return value.start if value is not None else entry.start
