"""Compile storage of `connections:`, and the sources and results that are kept there. No request is sent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.object_storage import KINDS, Storage, StoredFiles, has_pattern
from batchsync.core.source_path import OTHER_WORKBOOKS, STDIN, format_by_ending, scheme_of, text_ending
from batchsync.spec.credentials import FORMS, PROXY_FORMS, credential_objection, proxy_objection, secret_paths
from batchsync.spec.field_types import is_source_format
from batchsync.spec.interpolate import TypedMap, Value
from batchsync.spec.models_storage import StorageModel
from batchsync.spec.storage_urls import url_objection
from batchsync.util.path_fence import fixed_part
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from batchsync.spec.interpolate import TypedEntry
    from batchsync.spec.model_validator import ModelValidator
    from batchsync.spec.models import ResultsModel
    from batchsync.spec.models_source import JoinModel, SourceModel
    from batchsync.spec.problems import Problems
    from batchsync.util.path_fence import PathFence

_PLACEHOLDERS = {"storage": "http"}
#: Keys that each kind needs, and those that it may have besides the common ones.
NEEDED_KEYS = {"s3": ("bucket",), "gcs": ("bucket",), "azure": ("bucket", "account"), "http": ("base_url",)}
ALLOWED_KEYS = {
    "s3": ("bucket", "prefix", "region", "endpoint", "anonymous"),
    "gcs": ("bucket", "prefix", "endpoint", "anonymous"),
    "azure": ("bucket", "prefix", "endpoint", "account", "anonymous"),
    "http": ("base_url",),
}
SPECIFIC_KEYS = ("bucket", "prefix", "region", "endpoint", "account", "base_url", "anonymous")
_EXAMPLES = {
    "bucket": "bucket: exports",
    "account": "account: acmeexports",
    "base_url": "base_url: https://example.com/exports/",
}
#: Sets of credentials of each kind, of which one is complete.
CREDENTIAL_SETS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "s3": (("access_key_id", "secret_access_key"), ("access_key_id", "secret_access_key", "session_token")),
    "gcs": (("service_account_key",),),
    "azure": (("account_key",), ("sas_token",), ("client_id", "client_secret", "tenant_id")),
    "http": (("token",), ("user", "password")),
}
#: Names of buckets and containers of all services.
_BUCKET = re.compile(r"[a-z0-9A-Z$][a-zA-Z0-9._-]{1,221}")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_REGION = re.compile(r"[a-z0-9-]{2,40}")
#: What a path may not have: empty parts, parts that lead elsewhere, control characters and backslashes.
BAD_PATH = re.compile(r"(?:^|/)(?:\.{0,2})(?:/|$)|[\x00-\x1f\x7f\\]")
#: Keys of a source that describe a query, or a file of another kind.
_OF_QUERIES = ("query", "table", "dbt", "job")
_OF_FILES = ("format", "delimiter", "encoding", "header", "skip_rows", "comment", "quote", "escape", "sheet", "range")
_PATHS = "a path in the storage, without a slash at its begin, such as daily/*/guests.parquet"


def is_storage(entry: TypedEntry) -> bool:
    """Return whether a connection is storage."""
    return isinstance(entry.value, TypedMap) and entry.value.entry("storage") is not None


def compile_storage(
    entry: TypedEntry, validator: ModelValidator, folder: Path, fence: PathFence, problems: Problems
) -> Storage | None:
    """Compile an entry of `connections:` that is storage.

    Args:
        entry: The entry, a mapping.
        validator: Validates blocks against pydantic models.
        folder: Absolute folder of jobs.yaml.
        fence: Where files of certificates and secrets may be.
        problems: Receives the problems.

    Returns:
        The storage; None after reporting problems.
    """
    node = entry.value
    if not isinstance(node, TypedMap):
        return None
    validated = validator.validate(StorageModel, node, quoted(entry.key), entry.start, _PLACEHOLDERS)
    if validated.invalid:
        return None
    model, before = validated.model, len(problems)
    _check_keys(model, node, entry, problems)
    _check_values(model, node, problems)
    _check_credentials(model, node, fence, problems)
    ca_bundle = str(folder / model.ca_bundle) if model.ca_bundle else ""
    if ca_bundle and (objection := fence.file_objection(ca_bundle)):
        problems.add("path", _at(node, "ca_bundle"), f'"ca_bundle" {objection}', fence.advice)
    if len(problems) > before:
        return None
    return Storage(
        name=entry.key,
        kind=model.storage,
        bucket=model.bucket or "",
        prefix=(model.prefix or "").strip("/"),
        region=model.region or "",
        endpoint=(model.endpoint or "").rstrip("/"),
        account=model.account or "",
        url=f"{(model.base_url or '').rstrip('/')}/" if model.base_url else "",
        anonymous=bool(model.anonymous),
        credentials=tuple((model.credentials or {}).items()),
        proxy=model.proxy or "",
        ca_bundle=ca_bundle,
        place=problems.source.place(entry.start),
    )


def _check_keys(model: StorageModel, node: TypedMap, entry: TypedEntry, problems: Problems) -> None:
    """Report keys that the kind of storage needs and does not have, or has and does not know."""
    for name in NEEDED_KEYS[model.storage]:
        if getattr(model, name) is None:
            problems.add("missing_key", entry.start, f"{quoted(entry.key)} has no {quoted(name)}", _EXAMPLES[name])
    for name in SPECIFIC_KEYS:
        if getattr(model, name) is not None and name not in ALLOWED_KEYS[model.storage]:
            expected = f"no {name}: {KINDS[model.storage]} has {', '.join(ALLOWED_KEYS[model.storage])}"
            problems.add("storage", _at(node, name), f"{quoted(name)} with storage: {model.storage}", expected)


def _check_values(model: StorageModel, node: TypedMap, problems: Problems) -> None:
    """Report names and URLs that are not such."""
    names = (
        ("bucket", _BUCKET, "a name of letters, digits, dots, hyphens and underscores"),
        ("account", _ACCOUNT, "3 to 24 small letters and digits"),
        ("region", _REGION, "a region such as eu-west-1"),
    )
    for name, pattern, expected in names:
        value = getattr(model, name)
        if value is not None and not pattern.fullmatch(value):
            problems.add("storage", _at(node, name), f"{quoted(name)} is no {name}", expected)
    if model.prefix is not None and (BAD_PATH.search(model.prefix.strip("/")) or has_pattern(model.prefix)):
        problems.add("storage", _at(node, "prefix"), '"prefix" is no folder of a bucket', "a folder such as crm/daily")
    for name in ("endpoint", "base_url"):
        value = getattr(model, name)
        if value is not None and (reason := url_objection(value)):
            problems.add("storage", _at(node, name), f"{quoted(name)}: {reason}", "https://..., without user or query")
    if model.proxy and (reason := proxy_objection(model.proxy)):
        problems.add("proxy", _at(node, "proxy"), f'"proxy": {reason}', PROXY_FORMS)


def _check_credentials(model: StorageModel, node: TypedMap, fence: PathFence, problems: Problems) -> None:
    """Report credentials that are no references, are unknown or incomplete, or are combined with `anonymous`."""
    written, at = node.get("credentials"), _at(node, "credentials")
    for file in secret_paths([model.proxy, *(model.credentials or {}).values()]):
        if objection := fence.file_objection(Path(file)):
            problems.add("path", at, f"a file of a secret {objection}", fence.advice)
    if model.credentials is None:
        return
    if model.anonymous:
        problems.add("storage", at, '"credentials" with anonymous: true', "either credentials or anonymous")
    for entry in written.entries if isinstance(written, TypedMap) else ():
        text = entry.value.value if isinstance(entry.value, Value) else ""
        if reason := credential_objection(str(text)):
            problems.add("literal_secret", entry.value.start, f"{quoted(entry.key)}: {reason}", FORMS)
    sets = CREDENTIAL_SETS[model.storage]
    if frozenset(model.credentials) not in map(frozenset, sets):
        expected = "; or ".join(", ".join(names) for names in sets)
        message = f"unknown, missing or contradictory credentials of {KINDS[model.storage]}"
        problems.add("credentials", at, message, expected)


class StorageCompiler:
    """Compiles the sources and results of one file that are kept in storage, and local Delta tables."""

    def __init__(
        self,
        folder: Path,
        storages: Mapping[str, Storage | None],
        others: Container[str],
        fence: PathFence,
        problems: Problems,
    ) -> None:
        """Keep the collaborators.

        Args:
            folder: Absolute folder of jobs.yaml.
            storages: Storage by name; None where it is invalid.
            others: Names of connections that are accounts of vendors or databases.
            fence: Where local tables may be.
            problems: Receives the problems.
        """
        self._folder, self._storages, self._others = folder, storages, others
        self._fence, self._problems = fence, problems

    def is_stored(self, model: SourceModel | JoinModel) -> bool:
        """Return whether a source is meant to be kept in storage or a Delta table, as far as its keys tell."""
        if model.delta is not None or model.connection in self._storages:
            return True
        is_query = any(item is not None for item in (model.query, model.table, model.dbt))
        is_account = model.connection is None or model.connection in self._others
        return not is_query and (model.version is not None or not is_account)

    def compile(
        self, model: SourceModel | JoinModel, node: TypedMap, start: int, *, block: str = "source"
    ) -> StoredFiles | None:
        """Compile what a source or join reads.

        Args:
            model: The validated block.
            node: The same block with places.
            start: Index of the key `source`, or of the join.
            block: What the block is called in messages.

        Returns:
            What it reads; None after reporting a problem.
        """
        before = len(self._problems)
        storage = self._storage(model.connection, node) if model.connection is not None else None
        self._check_keys(model, node, start, block)
        if len(self._problems) > before or (model.connection is not None and storage is None):
            return None
        if model.delta is None:
            return self._files(model, node, storage)
        return self._table(model, node, storage)

    def results(self, model: ResultsModel, node: TypedMap) -> Storage | None:
        """Return the storage of results with a connection; None after reporting a problem."""
        before, at = len(self._problems), _at(node, "path")
        storage = self._storage(model.connection or "", node)
        if storage is not None and storage.kind == "http":
            message = f"{quoted(storage.name)} is a server of files, to which nothing is written"
            self._problems.add("results", _at(node, "connection"), message, "storage: s3, gcs or azure")
        self._check_path(model.path, at, "path")
        if has_pattern(model.path):
            self._problems.add("results", at, '"path" of the results is a pattern', "the path of one object")
        return storage if len(self._problems) == before else None

    def _storage(self, name: str, node: TypedMap) -> Storage | None:
        known = [key for key, item in self._storages.items() if item is not None]
        expected = one_of(known) if known else "a connection with storage: s3, gcs, azure or http"
        at = _at(node, "connection")
        if name in self._others:
            self._problems.add("unknown_connection", at, f"{quoted(name)} is no storage", expected)
        elif name not in self._storages:
            advice = self._problems.suggest(name, known)
            self._problems.add("unknown_connection", at, f"unknown connection {quoted(name)}", expected, advice)
        return self._storages.get(name)

    def _check_keys(self, model: SourceModel | JoinModel, node: TypedMap, start: int, block: str) -> None:
        """Report keys that are missing or contradict each other."""
        add = self._problems.add
        for name in _OF_QUERIES:
            if getattr(model, name, None) is not None:
                add("source", _at(node, name), f"{quoted(name)} with files in storage", "path or delta")
        if model.path is None and model.delta is None:
            add("missing_key", start, f'"{block}" has no "path"', "path: daily/*/guests.parquet, or delta: orders")
        if model.path is not None and model.delta is not None:
            add("source", _at(node, "delta"), f'"{block}" has both path and delta', "either path or delta")
        if model.version is not None and model.delta is None:
            add("source", _at(node, "version"), '"version" without delta', "version only with a Delta table")
        if model.delta is not None:
            columns, joins = getattr(model, "columns", None), getattr(model, "join", ())
            for name in (*_OF_FILES, *(("columns",) if isinstance(columns, tuple | list) else ())):
                if getattr(model, name, None) is not None and not (joins and name in {"delimiter", "encoding"}):
                    add("source", _at(node, name), f"{quoted(name)} with a Delta table", f"no {name}")

    def _files(self, model: SourceModel | JoinModel, node: TypedMap, storage: Storage | None) -> StoredFiles | None:
        path, at = model.path or "", _at(node, "path")
        before, declared = len(self._problems), getattr(model, "format", None)
        self._check_path(path, at, "path")
        if storage is not None and storage.kind == "http" and has_pattern(path):
            self._problems.add("source", at, "a pattern of files of a server, which cannot list them", "one file")
        if declared is None and text_ending(path) in OTHER_WORKBOOKS:
            what = f"a {text_ending(path)} workbook, whose cells with errors look like empty ones"
            self._problems.add("source_format", at, what, "a workbook saved as .xlsx, or a CSV file")
        elif declared is None and not is_source_format(format_by_ending(path)):
            expected = "a path ending in .csv, .parquet, .jsonl, .csv.gz or .jsonl.zip"
            self._problems.add("source_format", at, "unknown file format", expected, "or format: csv")
        return StoredFiles(storage=storage, path=path) if len(self._problems) == before else None

    def _table(self, model: SourceModel | JoinModel, node: TypedMap, storage: Storage | None) -> StoredFiles | None:
        written, at = (model.delta or "").rstrip("/"), _at(node, "delta")
        before = len(self._problems)
        if storage is not None:
            self._check_path(written, at, "delta")
            if storage.kind == "http":
                message = "a Delta table on a server of files, which cannot list them"
                self._problems.add("source", at, message, "storage: s3, gcs or azure")
            found = StoredFiles(storage=storage, delta=written, written=written, version=model.version)
            return found if len(self._problems) == before else None
        if scheme_of(written):
            message = f"a Delta table at {quoted(scheme_of(written) + '://')} without a connection"
            self._problems.add("source", at, message, "connection: <storage>, and the folder below its prefix")
            return None
        path = self._folder / written
        if objection := self._fence.objection(self._folder / fixed_part(str(path))):
            self._problems.add("path", at, f'"delta" {objection}', self._fence.advice)
            return None
        return StoredFiles(delta=str(path), written=written, version=model.version, roots=self._fence.roots)

    def _check_path(self, path: str, at: int, key: str) -> None:
        """Report a path that is none in a storage."""
        if path == STDIN or scheme_of(path) or BAD_PATH.search(path):
            self._problems.add("source", at, f"{quoted(key)} is no path in a storage", _PATHS)


def _at(node: TypedMap, key: str) -> int:
    """Return the index of a key's value, or of the block if the key is absent."""
    value = node.get(key)
    return value.start if value is not None else node.start
