"""Settings of a vendor: what a connection chooses where accounts of one vendor differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Takes(StrEnum):
    """What the value of a setting is."""

    #: one of the values that the vendor spec lists
    VALUE = "value"
    #: lists of members of a record, of which one must be complete to identify a person
    MEMBER_SETS = "member_sets"
    #: a file with the attributes of the tenant
    ATTRIBUTES = "attributes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingValue:
    """A value that a setting allows, and what it means. `credentials` are those of a connection, if it changes them."""

    value: str
    meaning: str
    credentials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A key of the connections of a vendor.

    Attributes:
        name: The key.
        title: Short title for editors and pages.
        takes: What a value is.
        values: Allowed values, if they are listed.
        default: Value of a connection that does not set it; empty if the vendor spec then holds as it is written.
        record: Record schema whose members are named in member sets.
        needs: Values that other settings must have for this one to be set.
        meaning: What it does, if values are not listed.
        changed_records: Record schemas that the values change.
        source: Document that states the choice.
    """

    name: str
    title: str
    takes: Takes = Takes.VALUE
    values: tuple[SettingValue, ...] = ()
    default: str = ""
    record: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    meaning: str = ""
    changed_records: frozenset[str] = frozenset()
    source: str

    @property
    def choices(self) -> tuple[str, ...]:
        """Allowed values, in the order of the vendor spec."""
        return tuple(item.value for item in self.values)
