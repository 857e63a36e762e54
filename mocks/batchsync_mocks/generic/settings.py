"""Settings of a `vendor.yaml`, by which accounts of a vendor differ: the mock is one of all that its start leaves open.

Of a setting that is not given, the calls of every account are served, and a record is accepted that any account
accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RECORDS = "records"


def with_chosen(document: Mapping[str, Any], chosen: Mapping[str, str]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the vendor spec of accounts that choose some values, without these settings, and the changes of records.

    Args:
        document: The vendor spec.
        chosen: Values by setting. A setting that takes no listed value is left open.
    """
    result, records, declared = dict(document), dict[str, Any](), dict(document.get("settings") or {})
    for name, value in chosen.items():
        listed = (declared.get(name) or {}).get("values") or {}
        if value in listed:
            del declared[name]
            changes = listed[value].get("changes") or {}
            result = _merged(result, {part: change for part, change in changes.items() if part != _RECORDS})
            records = _merged(records, changes.get(_RECORDS) or {}, keep_null=True)
    return {**result, "settings": declared}, records


def with_defaults(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the vendor spec of accounts that choose no settings: with the changes of the default values."""
    result = dict(document)
    for setting in _settings(document):
        default = (setting.get("values") or {}).get(setting.get("default", "")) or {}
        changes = default.get("changes") or {}
        result = _merged(result, {name: part for name, part in changes.items() if name != _RECORDS})
    return result


def all_calls(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the calls about a batch without settings, and with each value of a setting."""
    variants: list[Mapping[str, Any]] = [{}, *_changes(document)]
    found = [_merged({"calls": document["calls"]}, {"calls": change.get("calls") or []}) for change in variants]
    return [item for variant in found for item in variant["calls"]]


def schemas(
    written: Mapping[str, Mapping[str, Any]], declared: Mapping[str, Any], records: Mapping[str, Any]
) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Return record schemas by name: each as it is written, and as each value of a setting changes it.

    Args:
        written: The record schemas as their files state them.
        declared: The settings of the vendor that are open.
        records: Changes of the values of the others, by record schema.
    """
    written = {name: _merged(schema, records.get(name) or {}) for name, schema in written.items()}
    found: dict[str, list[Mapping[str, Any]]] = {name: [schema] for name, schema in written.items()}
    for change in _changes({"settings": declared}):
        for name, part in (change.get(_RECORDS) or {}).items():
            found[name].append(_merged(written[name], part))
    for setting in declared.values():
        if setting.get("takes") == "member_sets":
            # An account may have identity rules of its own.
            found[setting["record"]].append({**written[setting["record"]], "any_of": {}, "fields_in": {}})
    return dict(found)


def _settings(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the settings of a vendor spec."""
    return list((document.get("settings") or {}).values())


def _changes(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the changes of each value of each setting."""
    for setting in _settings(document):
        for value in (setting.get("values") or {}).values():
            yield value.get("changes") or {}


def _merged(content: Mapping[str, Any], changes: Mapping[str, Any], *, keep_null: bool = False) -> dict[str, Any]:
    """Return content with changes: mappings are merged key by key, null removes a key, `calls` are merged by name.

    Args:
        content: The content.
        changes: The changes.
        keep_null: Whether a null stays, to remove a key later.
    """
    result = dict(content)
    for name, change in changes.items():
        present = result.get(name)
        if change is None and not keep_null:
            result.pop(name, None)
        elif isinstance(change, Mapping):
            result[name] = _merged(present if isinstance(present, Mapping) else {}, change, keep_null=keep_null)
        elif name == "calls" and isinstance(present, list):
            by_name = {item["call"]: item for item in change}
            kept = [_merged(item, by_name.pop(item["call"], {})) for item in present]
            result[name] = [*kept, *by_name.values()]
        else:
            result[name] = change
    return result
