"""Settings of a `vendor.yaml`: the vendor spec that results from the values that a connection chooses.

A value of a setting changes the vendor spec and its record schemas; its changes have the form of these files.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batchsync.core.tenant_rules import with_attributes, with_identity
from batchsync.core.vendor_settings import Setting, SettingValue, Takes
from batchsync.spec.merged_content import merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.record_schema import RecordSchema
    from batchsync.spec.vendor_model import SettingModel, VendorModel

#: Key of `changes` with changes of record schemas, by the name of the schema.
RECORDS = "records"
#: Blocks that no setting changes.
_FIXED = frozenset({"version", "name", "settings"})


def compile_settings_of(model: VendorModel) -> tuple[Setting, ...]:
    """Return the settings of a vendor, in the order of its spec."""
    return tuple(_setting(name, item) for name, item in model.settings.items())


def _setting(name: str, model: SettingModel) -> Setting:
    records = [model.record, *(record for item in model.values.values() for record in item.changes.get(RECORDS, {}))]
    return Setting(
        name=name,
        title=model.title,
        takes=model.takes,
        values=tuple(
            SettingValue(value=value, meaning=item.means, credentials=_credentials_of(item.changes))
            for value, item in model.values.items()
        ),
        default=model.default,
        record=model.record,
        needs=dict(model.needs),
        meaning=model.means,
        changed_records=frozenset(filter(None, records)),
        source=model.source,
    )


def _credentials_of(changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the credentials of a connection that changes of a value list; empty if they list none."""
    connection = changes.get("connection")
    listed = connection.get("credentials") if isinstance(connection, dict) else None
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def effective(model: VendorModel, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each setting that has one: the chosen value, else the default."""
    found = {name: chosen.get(name, item.default) for name, item in model.settings.items()}
    return {name: value for name, value in found.items() if value}


def changed_document(model: VendorModel, values: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of a `vendor.yaml` with the changes of some values of its settings.

    Args:
        model: The vendor spec as it is written.
        values: Values by setting.

    Returns:
        JSON-compatible content.
    """
    document = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for changes in _changes(model, values):
        document = merged(document, {name: part for name, part in changes.items() if name != RECORDS})
    return document


def record_changes(model: VendorModel, values: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the changes of record schemas that some values of settings cause, by the name of the schema."""
    found: dict[str, dict[str, Any]] = {}
    for changes in _changes(model, values):
        for name, part in changes.get(RECORDS, {}).items():
            found[name] = merged(found.get(name, {}), part, keep_null=True)
    return found


def _changes(model: VendorModel, values: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    listed = {name: item for name, item in model.settings.items() if item.takes is Takes.VALUE and name in values}
    return (item.values[values[name]].changes for name, item in listed.items())


def with_tenant_rules(schema: RecordSchema, model: VendorModel, values: Mapping[str, str]) -> RecordSchema:
    """Return a record schema with the identity rules and attributes of a tenant.

    Args:
        schema: The record schema, with the changes of listed values.
        model: The vendor spec.
        values: Values by setting; member sets and attributes are JSON.
    """
    for name, item in model.settings.items():
        if item.takes is Takes.MEMBER_SETS and item.record == schema.name and name in values:
            schema = with_identity(schema, json.loads(values[name]))
        elif item.takes is Takes.ATTRIBUTES and name in values:
            schema = with_attributes(schema, json.loads(values[name]).get(schema.name, {}))
    return schema


def with_any_identity(schema: RecordSchema, model: VendorModel) -> RecordSchema:
    """Return a record schema that requires no identity, if a tenant may have identity rules of its own for it."""
    is_free = any(item.takes is Takes.MEMBER_SETS and item.record == schema.name for item in model.settings.values())
    return replace(schema, any_of={}, fields_in={}) if is_free else schema


def _check_kind(at: str, item: SettingModel, model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of each key that a setting of its kind lacks or does not have."""
    is_listed = item.takes is Takes.VALUE
    if bool(item.values) is not is_listed:
        yield f"{at}.values", "must list at least one value" if is_listed else f"is not for takes: {item.takes}"
    if bool(item.means) is is_listed:
        yield f"{at}.means", "belongs to each value" if is_listed else "is missing"
    if bool(item.record) is not (item.takes is Takes.MEMBER_SETS):
        yield f"{at}.record", "is for takes: member_sets, which needs it"
    for name, value in item.needs.items():
        if name not in model.settings or value not in model.settings[name].values:
            yield f"{at}.needs.{name}", "must name a setting and one of its values"


def check_settings(model: VendorModel, keys: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield path and message of everything inconsistent in the settings of a vendor spec.

    Args:
        model: The vendor spec.
        keys: Keys of every connection, which no setting may have.
    """
    for name, item in model.settings.items():
        at = f"settings.{name}"
        if name in keys:
            yield at, "is a key of every connection"
        yield from _check_kind(at, item, model)
        if item.default and item.default not in item.values:
            yield f"{at}.default", f"must be one of {', '.join(item.values)}"
        for value, part in item.values.items():
            if fixed := sorted(_FIXED & set(part.changes)):
                yield f"{at}.values.{value}.changes.{fixed[0]}", "cannot be changed by a setting"
            records = part.changes.get(RECORDS, {})
            if not isinstance(records, dict) or not all(isinstance(change, dict) for change in records.values()):
                yield f"{at}.values.{value}.changes.{RECORDS}", "must be changes by the name of a record schema"
