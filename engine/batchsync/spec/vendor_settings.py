"""Settings of a `vendor.yaml`: the vendor spec that results from the values that a connection chooses.

A value of a setting changes the vendor spec and its record schemas; its changes have the form of these files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsync.core.vendor_settings import Setting, SettingValue
from batchsync.spec.merged_content import merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.spec.vendor_model import SettingModel, VendorModel

#: Key of `changes` with changes of record schemas, by the name of the schema.
RECORDS = "records"
#: Blocks that no setting changes.
_FIXED = frozenset({"version", "name", "settings"})


def compile_settings_of(model: VendorModel) -> tuple[Setting, ...]:
    """Return the settings of a vendor, in the order of its spec."""
    return tuple(_setting(name, item) for name, item in model.settings.items())


def _setting(name: str, model: SettingModel) -> Setting:
    values = tuple(SettingValue(value=value, meaning=item.means) for value, item in model.values.items())
    return Setting(name=name, title=model.title, values=values, default=model.default, source=model.source)


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
    return (item.values[values[name]].changes for name, item in model.settings.items() if name in values)


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
        if item.default and item.default not in item.values:
            yield f"{at}.default", f"must be one of {', '.join(item.values)}"
        for value, part in item.values.items():
            if fixed := sorted(_FIXED & set(part.changes)):
                yield f"{at}.values.{value}.changes.{fixed[0]}", "cannot be changed by a setting"
            records = part.changes.get(RECORDS, {})
            if not isinstance(records, dict) or not all(isinstance(change, dict) for change in records.values()):
                yield f"{at}.values.{value}.changes.{RECORDS}", "must be changes by the name of a record schema"
