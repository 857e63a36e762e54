"""Rules of vendors as JSON Schema: targets, modes, records and removals of jobs, credentials and hosts of connections.

A job names a connection, and the connection its vendor. A JSON Schema cannot follow names, so that the schema without a
jobs file decides by what it sees: if all accounts of the file are of one vendor, its rules hold for every job;
otherwise a job is of the vendor whose target key or record schema no other vendor has. With the connections of a jobs
file, the name of the connection selects the vendor.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchsync.core.vendor_rules import FileFormat, Sends
from batchsync.core.vendor_settings import Takes
from batchsync.spec.json_schema_records import record_schema
from batchsync.spec.json_schema_rules import LOCAL_HOSTS, REFERENCE, equals, has, lacks, or_reference, when
from batchsync.spec.json_schema_sharing import share_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.record_schema import RecordSchema
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.core.vendor_settings import Setting

Schema = dict[str, Any]

#: Keys of a file by which a job says less than it means; with one of them, no rule of a vendor is certain.
INDIRECT = ("defaults", "include", "environments")


@dataclass(frozen=True, slots=True)
class DeclaredNames:
    """Names of a jobs file that others of its keys may use.

    Attributes:
        accounts: Rules of the vendor of each account, by connection; None where they are unknown.
        databases: Names of connections that are databases.
        storages: Names of connections that are storage.
        jobs: Names of jobs.
    """

    accounts: Mapping[str, VendorRules | None] = field(default_factory=dict)
    databases: tuple[str, ...] = ()
    storages: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()


class VendorConditions:
    """Adds the rules of vendors to the JSON Schema of jobs.yaml."""

    def __init__(self, vendors: Mapping[str, VendorRules], definitions: dict[str, Schema]) -> None:
        """Keep the vendors, and the definitions to add to."""
        self._vendors = vendors
        self._definitions = definitions
        self._names: dict[str, str] = {}

    def add(self, schema: Schema, declared: DeclaredNames | None) -> None:
        """Add the rules to the schema of a file.

        Args:
            schema: The schema of the whole file; changed in place.
            declared: Names of a jobs file; None if only what is visible in a job decides.
        """
        for name, rules in self._vendors.items():
            keys = (*self._definitions["ConnectionModel"]["properties"], *(item.name for item in rules.settings))
            self._definitions[f"{name}.connection"] = _connection(rules, keys)
            self._definitions[f"{name}.job"] = self._job(rules, rules.schemas)
            if _deciding(rules):
                self._definitions[f"{name}.configured"] = self._job(rules, rules.loosest_schemas, "configured")
            own = [item for item in self._definitions if item.startswith(f"{name}.")]
            share_parts(self._definitions, own, f"{name}.part")
        model = self._definitions["ConnectionModel"]
        model["properties"]["vendor"] |= {
            "anyOf": [{"enum": [*self._vendors]}, {"type": "string", "pattern": "/"}, REFERENCE]
        }
        model["properties"]["vendor"].pop("type", None)
        # Vendors differ in their settings; those of a vendor in a folder are unknown here.
        model.pop("additionalProperties")
        known = [name for name in self._vendors if "/" not in name]
        model["allOf"] = [
            *model.get("allOf", ()),
            *(when(equals("vendor", name), {"$ref": f"#/$defs/{name}.connection"}) for name in known),
        ]
        rules_of_jobs = self._by_name(declared) if declared is not None else self._by_keys()
        direct = lacks(*INDIRECT)
        schema["allOf"] = [when({"allOf": [direct, guard]}, _jobs(then)) for guard, then in rules_of_jobs]

    def _by_name(self, declared: DeclaredNames) -> Iterator[tuple[Schema, Schema]]:
        """Yield the rules of jobs where connections are declared, each with the condition on the file."""
        target = {"connection": or_reference({"enum": [*declared.accounts]})}
        rows = {"connection": or_reference({"enum": [*declared.databases, *declared.storages]})}
        jobs = or_reference({"enum": [*declared.jobs]})
        source = {"properties": {**rows, "job": jobs, "join": {"items": {"properties": rows}}}}
        results = {"properties": {"connection": or_reference({"enum": [*declared.storages]})}}
        yield (
            {},
            {
                "properties": {
                    "target": {"properties": target},
                    "source": source,
                    "results": results,
                    "depends_on": {"items": jobs},
                }
            },
        )
        for connection, rules in declared.accounts.items():
            # A folder may have a vendor of the name of a bundled one, whose definitions are not its own.
            if rules is not None and self._vendors.get(rules.name) is rules:
                condition = {"properties": {"target": equals("connection", connection)}, **has("target")}
                for guard, job in self._jobs_of(rules):
                    yield guard, when(condition, job)

    def _jobs_of(self, rules: VendorRules) -> Iterator[tuple[Schema, Schema]]:
        """Yield the schemas of jobs of a vendor, each with the condition on the file.

        If a connection of the file has a setting that changes records, records are of the schema that fits any values.
        """
        job = {"$ref": f"#/$defs/{rules.name}.job"}
        if not (names := _deciding(rules)):
            yield {}, job
            return
        plain = {"properties": {"connections": {"additionalProperties": lacks(*names)}}}
        yield plain, job
        yield {"not": plain}, {"$ref": f"#/$defs/{rules.name}.configured"}

    def _by_keys(self) -> Iterator[tuple[Schema, Schema]]:
        """Yield the rules of jobs by what a file shows, each with the condition on the file."""
        for name, rules in self._vendors.items():
            for guard, job in self._jobs_of(rules):
                yield {"allOf": [_accounts(name), guard]}, job
        if len(self._vendors) > 1:
            keys = {name: dict(rules.target_keys) for name, rules in self._vendors.items()}
            needed = [has(*(key for key, required in found.items() if required)) for found in keys.values()]
            several = {"allOf": [_accounts(*self._vendors), *({"not": _accounts(name)} for name in self._vendors)]}
            target: Schema = {"anyOf": needed}
            named = (rules for rules in self._vendors.values() if "schema" in rules.target_keys)
            if names := sorted({name for rules in named for name in rules.schemas}):
                target["properties"] = {"schema": or_reference({"enum": names})}
            yield several, {"properties": {"target": target}}
            for rules in self._vendors.values():
                for guard, job in self._jobs_of(rules):
                    for condition in self._signs(rules):
                        yield {"allOf": [several, guard]}, when(condition, job)

    def _signs(self, rules: VendorRules) -> Iterator[Schema]:
        """Yield conditions on a job that only jobs of a vendor can meet."""
        others = [item for item in self._vendors.values() if item.name != rules.name]
        for key in rules.target_keys:
            if all(key not in item.target_keys for item in others):
                yield {"properties": {"target": has(key)}, **has("target")}
        foreign = {name for item in others for name in item.schemas}
        if own := [name for name in rules.schemas if name not in foreign]:
            # A target that has a key of another vendor is that vendor's.
            unlike = [key for item in others for key in item.target_keys if key not in rules.target_keys]
            target = {**equals("schema", *own), **lacks(*unlike)} if unlike else equals("schema", *own)
            yield {"properties": {"target": target}, **has("target")}

    def _job(self, rules: VendorRules, schemas: Mapping[str, RecordSchema], suffix: str = "") -> Schema:
        """Return the schema of a job of a vendor.

        Args:
            rules: Rules of the vendor.
            schemas: Its record schemas.
            suffix: Suffix of the names of their definitions.
        """
        keys = ["connection", *rules.target_keys]
        known: Schema = {"schema": or_reference({"enum": [*rules.schemas]})} if "schema" in rules.target_keys else {}
        target = {
            "properties": {**{name: {"type": "string"} for name in keys}, **known},
            "propertyNames": {"enum": keys},
            "required": [name for name, required in rules.target_keys.items() if required],
        }
        modes = or_reference({"enum": [*rules.modes]})
        lookups = [mode for mode, sends in rules.modes.items() if sends is Sends.LOOKUPS]
        others = [mode for mode in rules.modes if mode not in lookups]
        found: list[Schema] = [
            when(equals("mode", *lookups), {**has("results"), "properties": {"on_removed": _ignored()}}),
            when(equals("mode", *others), lacks("results")),
        ]
        if rules.schemas:
            found += [self._record(rules, schemas[name], suffix) for name in rules.schemas]
        else:
            found.append({"properties": {"on_removed": _removals(rules.removal_modes)}})
        return {
            "title": f"Job of {rules.name}",
            "properties": {"target": target, "mode": modes, "on_null": or_reference({"const": "leave_out"})},
            "allOf": found,
        }

    def _record(self, rules: VendorRules, schema: RecordSchema, suffix: str) -> Schema:
        """Return the condition of the jobs of a record schema: its modes, records and removals."""
        flat = rules.file.format is FileFormat.CSV
        records = {mode: self._define(rules, schema, mode, suffix, flat=flat) for mode in ("", *schema.modes)}
        modes = [mode for mode in rules.modes if mode in schema.modes]
        removals = [mode for mode in rules.removal_modes if mode in schema.modes]
        by_mode = [when(equals("mode", mode), {"properties": {"record": records[mode]}}) for mode in modes]
        removal = [when(equals("mode", mode), {"properties": {"record": records[mode]}}) for mode in removals]
        # With allow_unknown, a record may have any member.
        known: Schema = {
            "properties": {"on_removed": when({"type": "object"}, {"allOf": removal})} if removal else {},
            **when(equals("mode", *modes), {"allOf": by_mode}, {"properties": {"record": records[""]}}),
        }
        then = {
            "properties": {"mode": or_reference({"enum": modes}), "on_removed": _removals(removals)},
            **when(lacks("allow_unknown"), known),
        }
        named = equals("schema", schema.name)
        if schema.name == rules.default_schema:
            named = {"anyOf": [named, lacks("schema")]}
        if "schema" not in rules.target_keys:
            named = {}
        return when({"properties": {"target": named}, **has("target")}, then)

    def _define(self, rules: VendorRules, schema: RecordSchema, mode: str, suffix: str, *, flat: bool) -> Schema:
        """Return a reference to the schema of a record, which is defined once for all modes that are alike."""
        found = record_schema(schema, mode, flat=flat)
        text = f"{rules.name} {json.dumps(found)}"
        name = self._names.setdefault(text, ".".join(filter(None, (rules.name, schema.name, mode, suffix))))
        self._definitions.setdefault(name, {"title": f"Record {schema.name} of {rules.name}", **found})
        return {"$ref": f"#/$defs/{name}"}


def _ignored() -> Schema:
    return or_reference({"const": "ignore"})


def _removals(modes: Any) -> Schema:
    """Return the schema of `on_removed` with these removal modes."""
    mapping: Schema = {"properties": {"mode": or_reference({"enum": [*modes]})}}
    return when({"type": "object"}, mapping, or_reference({"enum": ["ignore", *modes]}))


def _jobs(schema: Schema) -> Schema:
    """Return the schema of a file whose jobs are of a schema."""
    return {"properties": {"jobs": {"additionalProperties": schema}}}


def _accounts(*vendors: str) -> Schema:
    """Return the condition of a file that has accounts of these vendors, and of no other."""
    account = when(has("vendor"), equals("vendor", *vendors))
    some = {"not": {"additionalProperties": {"not": has("vendor")}}}
    return {"properties": {"connections": {"allOf": [{"additionalProperties": account}, some]}}, **has("connections")}


def _connection(rules: VendorRules, keys: tuple[str, ...]) -> Schema:
    """Return the schema of an account of a vendor, which may have some keys."""
    settings = {item.name: _setting(item) for item in rules.settings}
    found: Schema = {
        "title": f"Account of {rules.name}",
        "properties": {"credentials": _credentials(rules), **settings},
        "propertyNames": {"enum": [*keys]},
        **_chosen_credentials(rules),
    }
    if rules.api_hosts:
        hosts = "|".join(re.escape(host).replace(r"\*", "[a-z0-9-]+").replace(r"\-", "-") for host in rules.api_hosts)
        # The case of a host does not matter; one in capital letters is not judged.
        url = rf"^[A-Za-z]+://(?:[^/]*[A-Z][^/]*|(?:{hosts}|{LOCAL_HOSTS})(?::[0-9]*)?)(?:/|$)"
        found["properties"]["base_url"] = {"anyOf": [{"pattern": url}, REFERENCE]}
    if not rules.default_base_url:
        found["required"] = ["base_url"]
    return found


def _credentials(rules: VendorRules) -> Schema:
    """Return the schema of the credentials of an account, whatever its settings."""
    sets = [set(rules.credentials), *(set(names) for _, _, names in _credential_choices(rules))]
    every = list(dict.fromkeys((*rules.credentials, *sorted(set[str]().union(*sets)))))
    return {
        "properties": {name: {"description": f"{name} of {rules.name}, a reference."} for name in every},
        "required": [name for name in every if all(name in names for names in sets)],
        "propertyNames": {"enum": every},
    }


def _chosen_credentials(rules: VendorRules) -> Schema:
    """Return the conditions by which settings decide the credentials of an account."""
    choices = _credential_choices(rules)
    if not choices:
        return {}
    found = [when(equals(name, value), _exactly(names)) for name, value, names in choices]
    default = [{"properties": {name: REFERENCE}, **has(name)} for name, _, _ in choices]
    chosen = [equals(name, value) for name, value, _ in choices]
    return {"allOf": [*found, when({"not": {"anyOf": [*chosen, *default]}}, _exactly(rules.credentials))]}


def _exactly(names: tuple[str, ...]) -> Schema:
    """Return the schema of an account with these credentials."""
    return {"properties": {"credentials": {"required": [*names], "propertyNames": {"enum": [*names]}}}}


def _credential_choices(rules: VendorRules) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return setting, value and credentials of each value that changes the credentials of an account."""
    return [
        (setting.name, item.value, item.credentials)
        for setting in rules.settings
        for item in setting.values
        if item.credentials
    ]


def _deciding(rules: VendorRules) -> tuple[str, ...]:
    """Return the settings of a vendor that change its record schemas."""
    return tuple(item.name for item in rules.settings if item.changed_records)


def _setting(setting: Setting) -> Schema:
    """Return the schema of a setting of a vendor. A value such as 2.1 may be written without quotes."""
    needs = "".join(f" Needs {name}: {value}." for name, value in setting.needs.items())
    described: Schema = {"title": setting.title, "description": f"{setting.meaning}.{needs}"}
    if setting.takes is Takes.MEMBER_SETS:
        names: Schema = {"type": "array", "minItems": 1, "items": {"type": "string"}}
        return {**described, "type": "array", "minItems": 1, "items": names, "examples": [[["email"]]]}
    if setting.takes is Takes.ATTRIBUTES:
        return {**described, "type": "string", "minLength": 1, "examples": [f"{setting.name}.yaml"]}
    meanings = "; ".join(f"{item.value}: {item.meaning}" for item in setting.values)
    forms = [form for value in setting.choices for form in dict.fromkeys((value, _unquoted(value)))]
    return or_reference(
        {
            "title": setting.title,
            "description": f"{meanings}. {f'Default: {setting.default}.' if setting.default else 'No default.'}",
            "examples": [setting.default or setting.choices[0]],
            "enum": forms,
        }
    )


def _unquoted(text: str) -> str | float | bool:
    """Return what an editor reads where a text is written without quotes."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, int | float) else text
