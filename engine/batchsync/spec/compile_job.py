"""Compile entries of `jobs:` into `Job` values and validate them against the vendor and its record schema.

Dependencies between jobs are resolved by `job_order`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from batchsync.core.guards import Budget, Guards, Limit, Removals
from batchsync.core.job import Job, OnRemovedAnswer
from batchsync.core.keep import Keep
from batchsync.core.source_path import STDIN
from batchsync.core.vendor_rules import Sends
from batchsync.spec.check_record import RecordCheck
from batchsync.spec.compile_query import QueryCompiler
from batchsync.spec.compile_record import compile_record, places_of
from batchsync.spec.compile_removal import RemovalCompiler
from batchsync.spec.compile_schedule import compile_schedule
from batchsync.spec.compile_since import check_since, compile_send
from batchsync.spec.compile_source import Elsewhere, compile_results, compile_source, written_paths
from batchsync.spec.compile_storage import StorageCompiler
from batchsync.spec.compile_suppress import check_suppress, compile_suppress, suppressing_paths
from batchsync.spec.interpolate import TypedMap, Value
from batchsync.spec.located_yaml import Broken
from batchsync.spec.models import JobModel
from batchsync.spec.source_paths import check_results_path, check_source_paths
from batchsync.spec.spec_hash import mapping_hash, removal_hash, spec_hash, target_hash
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from batchsync.core.job import Removal, Results, Source, Suppress
    from batchsync.core.mapping import Object
    from batchsync.core.object_storage import Storage
    from batchsync.core.query import Database
    from batchsync.core.record_schema import RecordSchema
    from batchsync.core.schedule import Schedule
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.spec.interpolate import TypedEntry
    from batchsync.spec.model_validator import ModelValidator, ValidationResult
    from batchsync.spec.models_run import GuardsModel
    from batchsync.spec.problems import Problems
    from batchsync.util.path_fence import PathFence

_PLACEHOLDERS: dict[str, Any] = {
    "source": {"path": "none.csv", "key": "none"},
    "target": {"connection": "none"},
    "mode": "none",
    "record": {},
}
_NONE = Limit(count=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompiler:
    """Compiler of the jobs of one file.

    Attributes:
        folder: Absolute folder of jobs.yaml; relative paths start here.
        validator: Validates blocks against pydantic models.
        vendors: Rules of the vendor of each connection; None where unknown.
        problems: Receives the problems.
        fence: Where paths may lead.
        databases: Databases by name; None for those that are invalid.
        storages: Storages by name; None for those that are invalid.
        partial_jobs: Jobs with a valid record and source, but placeholders for invalid values elsewhere.
    """

    folder: Path
    validator: ModelValidator
    vendors: Mapping[str, VendorRules | None]
    problems: Problems
    fence: PathFence
    databases: Mapping[str, Database | None] = field(default_factory=dict)
    storages: Mapping[str, Storage | None] = field(default_factory=dict)
    partial_jobs: list[Job] = field(default_factory=list)

    def compile(self, entry: TypedEntry) -> Job | None:
        """Return the job, or None after reporting problems. The path of a source that is a job is not resolved yet."""
        if not isinstance(entry.value, TypedMap):
            if not isinstance(entry.value, Broken):
                self.problems.add(
                    "value", entry.value.start, f"{quoted(entry.key)} is not a mapping", "source, target, mode, record"
                )
            return None
        validated = self.validator.validate(JobModel, entry.value, quoted(entry.key), entry.start, _PLACEHOLDERS)
        return _JobBuilder(self, entry, entry.value, validated).build()


@dataclass(frozen=True, slots=True)
class _JobBuilder:
    """Compiles one job block by block."""

    compiler: JobCompiler
    entry: TypedEntry
    node: TypedMap
    validated: ValidationResult[JobModel]

    def build(self) -> Job | None:
        model, is_valid = self.validated.model, self.validated.valid
        rules = self._rules() if is_valid("target") else None
        target = {name: str(text) for name, text in (model.target.__pydantic_extra__ or {}).items()}
        if rules is not None:
            self._target(target, rules)
        schema = self._schema(target, rules)
        mode_is_valid = rules is not None and is_valid("mode") and self._mode(rules, schema)
        if rules is not None and mode_is_valid:
            self._check_on_null(rules)
        record = self._record(schema, rules, model.mode if mode_is_valid else "")
        source = self._source() if is_valid("source") else None
        removal = self._removal(target, rules, schema, source, record)
        if is_valid("source") and is_valid("send"):
            sends = rules.modes.get(model.mode) if rules is not None and mode_is_valid else None
            check_since(model, self.node, sends, record, self.compiler.problems)
        suppress = self._suppress(removal)
        results = self._results(rules)
        schedule = self._schedule()
        if rules is None or record is None or source is None:
            return None
        mapping = mapping_hash(vendor=rules.name, target=rules.identity_fields(target), mode=model.mode, record=record)
        send = compile_send(model)
        job = Job(
            name=self.entry.key,
            source=source,
            connection=model.target.connection,
            target=target,
            mode=model.mode,
            record=record,
            spec_hash=spec_hash(mapping=mapping, target=target, removal=removal, source=source, send=send),
            mapping_hash=mapping,
            target_hash=target_hash(vendor=rules.name, target=rules.identity_fields(target), mode=model.mode),
            send=send,
            removal=removal,
            suppress=suppress,
            results=results,
            schedule=schedule,
            guards=_guards(model.guards),
            budget=Budget(invalid=model.budget.invalid or _NONE, rejected=model.budget.rejected or _NONE),
            depends_on=tuple(model.depends_on),
            renamed_from=model.renamed_from,
            compression=model.compression,
            tags=model.tags,
            suspend=model.suspend,
            removal_hash=self._removal_hash(removal, results, source, suppress),
            keep=Keep(model.baseline.keep),
            place=self.compiler.problems.source.place(self.entry.start),
        )
        if self.validated.invalid:
            self.compiler.partial_jobs.append(job)
            return None
        return job

    def _rules(self) -> VendorRules | None:
        name, known = self.validated.model.target.connection, self.compiler.vendors
        if name not in known:
            kind = "a database" if name in self.compiler.databases else ""
            kind = "storage" if name in self.compiler.storages else kind
            self._report(
                "unknown_connection",
                self._at("target", "connection"),
                f"{quoted(name)} is {kind}, to which nothing is sent" if kind else f"unknown connection {quoted(name)}",
                one_of(known),
                self.compiler.problems.suggest(name, known),
            )
        return known.get(name)

    def _target(self, target: Mapping[str, str], rules: VendorRules) -> None:
        block = self.node.entry("target")
        if block is None or not isinstance(block.value, TypedMap):
            return
        known = ["connection", *rules.target_keys]
        for entry in block.value.entries:
            if entry.key not in known:
                advice = self.compiler.problems.suggest(entry.key, known)
                self._report(
                    "unknown_key",
                    entry.start,
                    f"unknown target key {quoted(entry.key)} for {rules.name}",
                    one_of(known),
                    advice,
                )
        for name, required in rules.target_keys.items():
            if required and name not in target and block.value.entry(name) is None:
                self._report("missing_key", block.start, f'"target" has no {quoted(name)}', f"{name}: ...")

    def _schema(self, target: Mapping[str, str], rules: VendorRules | None) -> RecordSchema | None:
        if rules is None:
            return None
        name = target.get("schema")
        if name is not None and "schema" in rules.target_keys and name not in rules.schemas:
            self._report(
                "unknown_schema",
                self._at("target", "schema"),
                f"{rules.name} has no schema {quoted(name)}",
                one_of(rules.schemas),
                self.compiler.problems.suggest(name, rules.schemas),
            )
            return None
        return rules.schema_for(target)

    def _mode(self, rules: VendorRules, schema: RecordSchema | None) -> bool:
        """Return whether the vendor supports the mode for this schema; report a problem if not."""
        mode = self.validated.model.mode
        known = [item for item in rules.modes if schema is None or item in schema.modes]
        if mode in known:
            return True
        owner = f"{rules.name} {schema.name}" if schema is not None and mode in rules.modes else rules.name
        self._report(
            "mode",
            self._at("mode"),
            f"{owner} does not support mode {quoted(mode)}",
            one_of(known),
            self.compiler.problems.suggest(mode, known),
        )
        return False

    def _check_on_null(self, rules: VendorRules) -> None:
        """Report `on_null: clear`: no vendor spec names a way to clear a value, and none is guessed."""
        if self.validated.model.on_null == "clear":
            self._report(
                "on_null",
                self._at("on_null"),
                f"{rules.name} documents no way to clear single values in mode {quoted(self.validated.model.mode)}",
                "leave_out; plan and sync count the records that lost a value which the target keeps",
            )

    def _record(self, schema: RecordSchema | None, rules: VendorRules | None, mode: str) -> Object | None:
        """Return the record after validation. Rules of a mode are not checked if `mode` is empty."""
        written = self.node.entry("record")
        if written is None:
            return None
        record = compile_record(written.value, self.compiler.problems)
        if record is not None and schema is not None and rules is not None:
            RecordCheck(
                schema=schema,
                mode=mode,
                flat=rules.file.format.value == "csv",
                problems=self.compiler.problems,
                places=places_of(written.value, written.start, self.compiler.problems),
                allow_unknown=self.validated.model.allow_unknown,
            ).check(record)
        return record

    def _source(self) -> Source | None:
        written = self.node.entry("source")
        if written is None or not isinstance(written.value, TypedMap):
            return None
        compiler = self.compiler
        check_source_paths(
            self.validated.model.source, written.value, compiler.folder, compiler.fence, compiler.problems
        )
        model, node, elsewhere = self.validated.model.source, written.value, self._elsewhere()
        source = compile_source(model, node, written.start, compiler.folder, compiler.problems, elsewhere)
        return replace(source, roots=compiler.fence.roots)

    def _elsewhere(self) -> Elsewhere:
        """Return the compilers of rows that are no local files."""
        compiler = self.compiler
        others = {*compiler.vendors, *compiler.storages}
        queries = QueryCompiler(compiler.folder, compiler.databases, others, compiler.fence, compiler.problems)
        return Elsewhere(queries, self._stored())

    def _suppress(self, removal: Removal | None) -> Suppress | None:
        written, model = self.node.entry("suppress"), self.validated.model.suppress
        if written is None or model is None or not self.validated.valid("suppress"):
            return None
        compiler = self.compiler
        found = compile_suppress(model, written, compiler.folder, compiler.fence, compiler.problems, self._elsewhere())
        check_suppress(
            found, written.value, removal, compiler.problems, known=self.validated.valid("on_removed", "mode", "send")
        )
        return found

    def _stored(self) -> StorageCompiler:
        """Return the compiler of what is kept in storage."""
        compiler = self.compiler
        others = {*compiler.vendors, *compiler.databases}
        return StorageCompiler(compiler.folder, compiler.storages, others, compiler.fence, compiler.problems)

    def _removal(
        self,
        target: Mapping[str, str],
        rules: VendorRules | None,
        schema: RecordSchema | None,
        source: Source | None,
        record: Object | None,
    ) -> Removal | None:
        node = self.node.get("on_removed")
        if rules is None or source is None or node is None or not self.validated.valid("on_removed", "mode", "send"):
            return None
        found = RemovalCompiler(
            rules=rules,
            schema=schema,
            key=source.key,
            lookup=self._is_lookup(rules),
            since=self._sends_since,
            chained=source.job is not None,
            allow_unknown=self.validated.model.allow_unknown,
            problems=self.compiler.problems,
        ).compile(self.validated.model.on_removed, node, record)
        if found is None:
            return None
        removal_mapping = mapping_hash(
            vendor=rules.name, target=rules.identity_fields(target), mode=found.mode, record=found.record
        )
        return replace(found, mapping_hash=removal_mapping)

    def _removal_hash(
        self, removal: Removal | None, results: Results | None, source: Source, suppress: Suppress | None
    ) -> str:
        written = self.node.get("source")
        paths = written_paths(written) if isinstance(written, TypedMap) else ()
        paths += suppressing_paths(suppress, self.node.get("suppress"))
        return removal_hash(removal=removal, results=results, source=source, paths=paths)

    @property
    def _sends_since(self) -> bool:
        """Whether the source does not say which keys left it, because only new rows are sent or read."""
        model = self.validated.model
        return not isinstance(model.send, str) or model.source.since is not None

    def _is_lookup(self, rules: VendorRules) -> bool:
        return rules.modes.get(self.validated.model.mode) is Sends.LOOKUPS

    def _results(self, rules: VendorRules | None) -> Results | None:
        written = self.node.entry("results")
        model = self.validated.model
        is_lookup = written is not None
        if rules is not None and self.validated.valid("mode"):
            is_lookup = self._is_lookup(rules)
        if is_lookup and written is None:
            self._report(
                "missing_key",
                self.entry.start,
                f'{quoted(self.entry.key)} has no "results"',
                "results: {path: out/results.csv}",
            )
        elif not is_lookup and written is not None:
            self._report(
                "results",
                written.start,
                f'"results" in a job of mode {quoted(model.mode)}',
                "results only with mode lookup",
            )
        elif written is not None and model.results is not None:
            self._check_removed_answers(model.results.on_removed)
            compiler = self.compiler
            results = compile_results(model.results, written.value, compiler.folder, compiler.problems, self._stored())
            if results is None or results.storage is not None:
                return results
            return check_results_path(results, compiler.fence, compiler.problems)
        return None

    def _check_removed_answers(self, on_removed: str) -> None:
        """Report a treatment of removed answers in a job whose source does not contain every key."""
        model = self.validated.model
        reason = ""
        if self._sends_since:
            reason = "send: {since: ...} cannot detect keys that left the source"
        elif model.source.job is not None:
            reason = "the results of another job are incomplete: a missing key may just not have been looked up again"
        if reason and on_removed != OnRemovedAnswer.KEEP:
            self._report("on_removed", self._at("results", "on_removed"), f'"on_removed": {reason}', "on_removed: keep")

    def _schedule(self) -> Schedule | None:
        written, model = self.node.entry("schedule"), self.validated.model.schedule
        if written is None or model is None:
            return None
        if self.validated.model.source.path == STDIN:
            problem = '"schedule" in a job that reads standard input, which serve does not have'
            self._report("schedule", written.start, problem, "a file as source, or no schedule")
        return compile_schedule(model, written.value, written.start, self.compiler.problems)

    def _at(self, *path: str) -> int:
        """Return the index of the value at a path below the job, or of the nearest key."""
        node, at = self.entry.value, self.entry.start
        for item in path:
            if (found := node.entry(item) if isinstance(node, TypedMap) else None) is None:
                break
            node, at = found.value, found.value.start if isinstance(found.value, Value) else found.start
        return at

    def _report(self, code: str, at: int, message: str, expected: str, suggestion: str = "") -> None:
        self.compiler.problems.add(code, at, message, expected, suggestion)


def _guards(model: GuardsModel) -> Guards:
    edit, lost_file = model.removals_after_edit, model.removals_after_lost_file
    return Guards(
        max_remove=model.max_remove,
        max_change=model.max_change,
        max_invalid=model.max_invalid,
        min_rows=model.min_rows,
        removals_after_edit=Removals(edit) if edit else None,
        removals_after_lost_file=Removals(lost_file) if lost_file else None,
    )
