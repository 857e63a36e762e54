"""Makes a Job of one entry of `jobs:`, held against the connection's vendor and its record schema.

It does not know rows, nor the other jobs; `order` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lading.core.guards import AfterEdit, Budget, Guards, Limit
from lading.core.job import Job, Send
from lading.spec.check_record import RecordCheck
from lading.spec.compile_record import compile_record, places_of
from lading.spec.compile_removal import RemovalCompiler
from lading.spec.compile_source import compile_results, compile_schedule, compile_source, written_paths
from lading.spec.interpolate import TypedMap, Value
from lading.spec.located_yaml import Broken
from lading.spec.models import JobModel
from lading.spec.spec_hash import mapping_hash, removal_hash, spec_hash
from lading.spec.suggest import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lading.core.job import Removal, Results, Schedule, Source
    from lading.core.mapping import Object
    from lading.core.record_schema import RecordSchema
    from lading.core.vendor_rules import VendorRules
    from lading.spec.interpolate import TypedEntry
    from lading.spec.models import GuardsModel
    from lading.spec.problems import Problems
    from lading.spec.shape import Shaped, Shaper

_STAND_INS: dict[str, Any] = {
    "source": {"path": "none.csv", "key": "none"},
    "target": {"connection": "none"},
    "mode": "none",
    "record": {},
}
LOOKUP = "lookup"
_NONE = Limit(count=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompiler:
    """Compiles the jobs of one file. `vendors` maps each connection to its vendor, None where that is not known.

    `halves` are jobs that have a record and a source, with stand-ins for what is wrong elsewhere in them.
    """

    folder: Path
    shaper: Shaper
    vendors: Mapping[str, VendorRules | None]
    problems: Problems
    halves: list[Job] = field(default_factory=list)

    def compile(self, entry: TypedEntry) -> Job | None:
        """Return the job, or None after a complaint. Its source may still name a job without a path."""
        if not isinstance(entry.value, TypedMap):
            if not isinstance(entry.value, Broken):
                self.problems.add(
                    "value", entry.value.start, f"{quoted(entry.key)} is no mapping", "source, target, mode, record"
                )
            return None
        shaped = self.shaper.shaped(JobModel, entry.value, quoted(entry.key), entry.start, _STAND_INS)
        one = _OneJob(self, entry, entry.value, shaped)
        return one.compiled()


@dataclass(frozen=True, slots=True)
class _OneJob:
    """The pieces of one job while it is compiled."""

    around: JobCompiler
    entry: TypedEntry
    node: TypedMap
    shaped: Shaped[JobModel]

    def compiled(self) -> Job | None:
        model, good = self.shaped.model, self.shaped.good
        rules = self._rules() if good("target") else None
        target = {name: str(text) for name, text in (model.target.__pydantic_extra__ or {}).items()}
        if rules is not None:
            self._target(target, rules)
        schema = self._schema(target, rules)
        mode_fits = rules is not None and good("mode") and self._mode(rules, schema)
        record = self._record(schema, rules, model.mode if mode_fits else "")
        source = self._source() if good("source") else None
        removal = self._removal(target, rules, schema, source, record)
        results = self._results()
        schedule = self._schedule()
        if rules is None or record is None or source is None:
            return None
        mapping = mapping_hash(vendor=rules.name, target=rules.told_apart_by(target), mode=model.mode, record=record)
        send = Send(what=model.send) if isinstance(model.send, str) else Send(what="since", since=model.send.since)
        job = Job(
            name=self.entry.key,
            source=source,
            connection=model.target.connection,
            target=target,
            mode=model.mode,
            record=record,
            spec_hash=spec_hash(mapping=mapping, target=target, removal=removal, source=source, send=send),
            mapping_hash=mapping,
            send=send,
            removal=removal,
            results=results,
            schedule=schedule,
            guards=_guards(model.guards),
            budget=Budget(invalid=model.budget.invalid or _NONE, rejected=model.budget.rejected or _NONE),
            depends_on=tuple(model.depends_on),
            compression=model.compression,
            removal_hash=self._removal_hash(removal, source),
            place=self.around.problems.source.place(self.entry.start),
        )
        if self.shaped.bad:
            self.around.halves.append(job)
            return None
        return job

    def _rules(self) -> VendorRules | None:
        name, known = self.shaped.model.target.connection, self.around.vendors
        if name not in known:
            self._add(
                "unknown_connection",
                self._at("target", "connection"),
                f"there is no connection {quoted(name)}",
                one_of(known),
                self.around.problems.suggest(name, known),
            )
        return known.get(name)

    def _target(self, target: Mapping[str, str], rules: VendorRules) -> None:
        block = self.node.entry("target")
        if block is None or not isinstance(block.value, TypedMap):
            return
        known = ["connection", *rules.target_keys]
        for one in block.value.entries:
            if one.key not in known:
                advice = self.around.problems.suggest(one.key, known)
                self._add(
                    "unknown_key",
                    one.start,
                    f"a target of {rules.name} has no {quoted(one.key)}",
                    one_of(known),
                    advice,
                )
        for name, required in rules.target_keys.items():
            if required and name not in target and block.value.entry(name) is None:
                self._add("missing_key", block.start, f'"target" has no {quoted(name)}', f"{name}: ...")

    def _schema(self, target: Mapping[str, str], rules: VendorRules | None) -> RecordSchema | None:
        if rules is None:
            return None
        name = target.get("schema")
        if name is not None and "schema" in rules.target_keys and name not in rules.schemas:
            self._add(
                "unknown_schema",
                self._at("target", "schema"),
                f"{rules.name} has no schema {quoted(name)}",
                one_of(rules.schemas),
                self.around.problems.suggest(name, rules.schemas),
            )
            return None
        return rules.schema_for(target)

    def _mode(self, rules: VendorRules, schema: RecordSchema | None) -> bool:
        """Whether the vendor knows the mode, for this schema."""
        mode = self.shaped.model.mode
        known = [one for one in rules.modes if schema is None or one in schema.modes]
        if mode in known:
            return True
        who = f"{rules.name} {schema.name}" if schema is not None and mode in rules.modes else rules.name
        self._add(
            "mode",
            self._at("mode"),
            f"{who} does not take mode {quoted(mode)}",
            one_of(known),
            self.around.problems.suggest(mode, known),
        )
        return False

    def _record(self, schema: RecordSchema | None, rules: VendorRules | None, mode: str) -> Object | None:
        """Return the record, checked as far as the mode is known (empty: not)."""
        written = self.node.entry("record")
        if written is None:
            return None
        record = compile_record(written.value, self.around.problems)
        if record is not None and schema is not None and rules is not None:
            RecordCheck(
                schema=schema,
                mode=mode,
                flat=rules.file.format.value == "csv",
                problems=self.around.problems,
                places=places_of(written.value, written.start, self.around.problems),
            ).check(record)
        return record

    def _source(self) -> Source | None:
        written = self.node.entry("source")
        if written is None or not isinstance(written.value, TypedMap):
            return None
        return compile_source(
            self.shaped.model.source, written.value, written.start, self.around.folder, self.around.problems
        )

    def _removal(
        self,
        target: Mapping[str, str],
        rules: VendorRules | None,
        schema: RecordSchema | None,
        source: Source | None,
        record: Object | None,
    ) -> Removal | None:
        node = self.node.get("on_removed")
        if rules is None or source is None or node is None or not self.shaped.good("on_removed", "mode", "send"):
            return None
        found = RemovalCompiler(
            rules=rules,
            schema=schema,
            key=source.key,
            lookup=self.shaped.model.mode == LOOKUP,
            since=not isinstance(self.shaped.model.send, str),
            chained=source.job is not None,
            problems=self.around.problems,
        ).compile(self.shaped.model.on_removed, node, record)
        if found is None:
            return None
        own = mapping_hash(vendor=rules.name, target=rules.told_apart_by(target), mode=found.mode, record=found.record)
        return replace(found, mapping_hash=own)

    def _removal_hash(self, removal: Removal | None, source: Source) -> str:
        written = self.node.get("source")
        paths = written_paths(written) if isinstance(written, TypedMap) else ()
        return removal_hash(removal=removal, source=source, paths=paths)

    def _results(self) -> Results | None:
        written = self.node.entry("results")
        model = self.shaped.model
        is_lookup = model.mode == LOOKUP
        if not self.shaped.good("mode"):
            is_lookup = written is not None
        if is_lookup and written is None:
            self._add(
                "missing_key",
                self.entry.start,
                f'{quoted(self.entry.key)} has no "results"',
                "results: {path: out/answers.csv}",
            )
        elif not is_lookup and written is not None:
            self._add(
                "results",
                written.start,
                f'"results" in a job of mode {quoted(model.mode)}',
                "results with mode lookup only",
            )
        elif written is not None and model.results is not None:
            return compile_results(model.results, written.value, self.around.folder, self.around.problems)
        return None

    def _schedule(self) -> Schedule | None:
        written = self.node.entry("schedule")
        if written is None or self.shaped.model.schedule is None:
            return None
        return compile_schedule(self.shaped.model.schedule, written.value, written.start, self.around.problems)

    def _at(self, *path: str) -> int:
        """Return where the value at a path below the job stands, or the key nearest to it."""
        node, at = self.entry.value, self.entry.start
        for one in path:
            found = node.entry(one) if isinstance(node, TypedMap) else None
            if found is None:
                break
            node, at = found.value, found.value.start if isinstance(found.value, Value) else found.start
        return at

    def _add(self, code: str, at: int, message: str, expected: str, suggestion: str = "") -> None:
        self.around.problems.add(code, at, message, expected, suggestion)


def _guards(model: GuardsModel) -> Guards:
    after_edit = model.removals_after_edit
    return Guards(
        max_remove=model.max_remove,
        max_change=model.max_change,
        min_rows=model.min_rows,
        removals_after_edit=AfterEdit(after_edit) if after_edit else None,
    )
