"""What a vendor demands of a record, as plain values compiled from the vendor's record schema files.

It does not know how a value is checked; `spec` holds mappings against it before a run, `data` holds rows against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """The JSON kind of a value."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"
    #: any of string, boolean, integer, number (extension attributes)
    SCALAR = "scalar"


class Format(StrEnum):
    """Named shapes of a text."""

    EMAIL = "email"
    UUID = "uuid"
    #: ISO 8601 UTC with a trailing Z, minutes at least: 1985-12-24T00:00Z, 2025-03-07T16:15:11.000Z
    DATETIME = "datetime"
    #: the same without milliseconds
    DATETIME_NO_MILLIS = "datetime_no_millis"
    #: the same without seconds
    DATETIME_MINUTES = "datetime_minutes"
    #: two upper-case letters, ISO 3166-1 alpha-2
    COUNTRY = "country"
    #: two letters, ISO 639
    LANGUAGE = "language"
    #: three upper-case letters, ISO 4217
    CURRENCY = "currency"
    #: three upper-case letters, IATA airport or city
    IATA = "iata"


class Severity(StrEnum):
    """What a broken rule does to the row."""

    #: the row is invalid and is not sent
    REFUSE = "refuse"
    #: the row is sent; the warning is counted
    WARN = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What members an object may have beyond the named ones (extension attributes).

    `once` says that no such member may stand in two items of the list around the object.
    """

    pattern: str
    most: int
    kind: Kind = Kind.SCALAR
    once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one value must be. Lengths count characters for a string and items for an array.

    `required_in` names the modes in which the value must be there ("*" is every mode); `enum_severity` says whether
    the enumeration is closed. `past` demands a moment before now.
    `fields` and `extra` are of an object, `items` and `distinct` of an array; `distinct` names members of which no two
    items may say the same. `source` says which document states it.
    """

    kind: Kind
    required_in: frozenset[str] = frozenset()
    enum: tuple[str, ...] = ()
    enum_severity: Severity = Severity.REFUSE
    format: Format | None = None
    pattern: str = ""
    min_length: int | None = None
    max_length: int | None = None
    past: bool = False
    fields: tuple[tuple[str, Rule], ...] = ()
    extra: Extra | None = None
    items: Rule | None = None
    distinct: tuple[str, ...] = ()
    source: str = ""

    def field(self, name: str) -> Rule | None:
        """Return the rule of a named member, or None."""
        return dict(self.fields).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """If `field` equals one of `equals`, then `required` must be there (only in `modes`; empty is every mode)."""

    field: str
    equals: tuple[str, ...]
    required: tuple[str, ...]
    modes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSchema:
    """One kind of record of a vendor: its members, the modes it can be sent in, and what identifies it.

    `fields_in` limits the members of a mode (for instance `delete`); a mode that is not in it takes all of them.
    `any_of` lists, per mode ("*" is every other mode), sets of members of which at least one set must be whole.
    `differ` lists pairs of members that must not say the same.
    `open` says that members not listed here are allowed with a warning rather than refused.
    """

    name: str
    modes: tuple[str, ...]
    root: Rule
    fields_in: Mapping[str, frozenset[str]]
    any_of: Mapping[str, tuple[frozenset[str], ...]]
    conditions: tuple[Condition, ...] = ()
    differ: tuple[tuple[str, str], ...] = ()
    legacy: str = ""

    def alternatives(self, mode: str) -> tuple[frozenset[str], ...]:
        """Return the sets of members of which one must be whole in this mode; empty when there is no such rule."""
        return self.any_of.get(mode, self.any_of.get("*", ()))
