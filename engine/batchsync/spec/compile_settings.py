"""Compile the settings of a vendor in a connection, and validate them against the vendor spec."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.vendor_settings import Takes
from batchsync.errors import SpecError
from batchsync.spec.interpolate import TypedSeq, Value
from batchsync.spec.located_yaml import Broken
from batchsync.spec.model_validator import kind_of
from batchsync.spec.models_connection import ConnectionModel
from batchsync.spec.tenant_attributes import read_attributes
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from batchsync.core.vendor_rules import VendorRules
    from batchsync.core.vendor_settings import Setting
    from batchsync.spec.interpolate import Typed, TypedEntry
    from batchsync.spec.problems import Problems
    from batchsync.util.path_fence import PathFence


@dataclass(slots=True)
class ChosenSettings:
    """Valid values by setting, the files that they were read from, and whether all values are valid."""

    values: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class SettingsCompiler:
    """Compiler of the settings of the connections of one file.

    Attributes:
        folder: Folder of jobs.yaml; relative paths start here.
        problems: Receives the problems.
        fence: Where paths may lead.
    """

    folder: Path
    problems: Problems
    fence: PathFence

    def compile(self, entries: Iterable[TypedEntry], rules: VendorRules | None) -> ChosenSettings:
        """Return the chosen values of the settings of a vendor, and report keys and values that it does not have.

        Args:
            entries: Keys of the connection that not every connection has.
            rules: Rules of the vendor; None if they are unknown.
        """
        known = {item.name: item for item in (rules.settings if rules is not None else ())}
        chosen = ChosenSettings()
        places = {}
        for entry in entries:
            if rules is None or entry.key not in known:
                keys = [*ConnectionModel.model_fields, *known]
                message, advice = f"unknown key {quoted(entry.key)}", self.problems.suggest(entry.key, keys)
                self.problems.add("unknown_key", entry.start, message, one_of(keys), advice)
            else:
                places[entry.key] = entry.start
                if not isinstance(entry.value, Broken):
                    self._choose(entry, known[entry.key], rules, chosen)
        for name in list(chosen.values):
            for other, value in known[name].needs.items():
                is_unknown = other in places and other not in chosen.values
                if name in chosen.values and not is_unknown and chosen.values.get(other, known[other].default) != value:
                    message = f'{quoted(name)} needs "{other}: {value}"'
                    self.problems.add("value", places[name], message, f"{other}: {value}, or no {name}")
                    del chosen.values[name]
        chosen.complete = places.keys() <= chosen.values.keys()
        return chosen

    def _choose(self, entry: TypedEntry, setting: Setting, rules: VendorRules, chosen: ChosenSettings) -> None:
        """Add the value of a setting, or report a problem."""
        if setting.takes is Takes.VALUE:
            value = self._listed(entry, setting)
        elif setting.takes is Takes.MEMBER_SETS:
            value = self._member_sets(entry, setting, rules)
        else:
            value = self._attributes(entry, rules, chosen)
        if value is not None:
            chosen.values[setting.name] = value

    def _listed(self, entry: TypedEntry, setting: Setting) -> str | None:
        """Return one of the listed values; None after reporting a problem."""
        node, choices = entry.value, setting.choices
        if not isinstance(node, Value):
            self._report(node, f"{quoted(entry.key)} is {kind_of(node)}", one_of(choices))
            return None
        written = text_of(node)
        if written in choices:
            return written
        advice = self.problems.suggest(written, choices)
        self._report(node, f"{quoted(entry.key)} cannot be {quoted(written)}", one_of(choices), advice)
        return None

    def _member_sets(self, entry: TypedEntry, setting: Setting, rules: VendorRules) -> str | None:
        """Return lists of members as JSON; None after reporting a problem."""
        node, sets = entry.value, []
        known = [name for name, _ in rules.schemas[setting.record].root.fields]
        form = f"lists of members of a {setting.record}: [[{known[-1]}], [{', '.join(known[:2])}]]"
        if not isinstance(node, TypedSeq) or not node.items:
            self._report(node, f"{quoted(entry.key)} is {_kind(node)}", form)
            return None
        for item in node.items:
            if not isinstance(item, TypedSeq) or not item.items:
                self._report(item, f"an item of {quoted(entry.key)} is {_kind(item)}", form)
                return None
            names = [text_of(part) if isinstance(part, Value) else "" for part in item.items]
            for part, name in zip(item.items, names, strict=True):
                if name not in known:
                    message = f"{setting.record} has no member {quoted(name)}"
                    self._report(part, message, one_of(known), self.problems.suggest(name, known))
                    return None
            sets.append(names)
        return json.dumps(sets)

    def _attributes(self, entry: TypedEntry, rules: VendorRules, chosen: ChosenSettings) -> str | None:
        """Return the attributes in a file as JSON; None after reporting a problem."""
        node = entry.value
        if not isinstance(node, Value) or not isinstance(node.value, str) or not node.value:
            self._report(node, f"{quoted(entry.key)} is {_kind(node)}", "the path of a YAML file")
            return None
        file = self.folder / node.value
        if objection := self.fence.file_objection(file):
            self.problems.add("path", node.start, f"{quoted(entry.key)} {objection}", self.fence.advice)
            return None
        chosen.files.append(str(file))
        if not file.is_file():
            self.problems.add("path", node.start, f"{quoted(entry.key)}: no such file", "the path of a YAML file")
            return None
        try:
            return read_attributes(file, rules)
        except SpecError as error:
            self.problems.extend(error.problems)
            return None

    def _report(self, node: Typed, message: str, expected: str, advice: str = "") -> None:
        if not isinstance(node, Broken):
            self.problems.add("value", node.start, message, expected, advice)


def _kind(node: Typed) -> str:
    """Return a description of the kind of a node; of an empty list or text "empty"."""
    is_empty = (isinstance(node, TypedSeq) and not node.items) or (isinstance(node, Value) and node.value == "")
    return "empty" if is_empty else kind_of(node)


def text_of(node: Value) -> str:
    """Return the text of a scalar as it is written: `2.0` is a version, not a number."""
    if isinstance(node.value, str):
        return node.value
    return str(node.value).lower() if "${" in node.raw else node.raw
