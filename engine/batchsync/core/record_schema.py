"""Record schemas of vendors as frozen values, compiled from their schema files.

`spec` checks mappings against them before a run, `data` checks rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """JSON type of a value."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"
    #: any of string, boolean, integer, number (extension attributes)
    SCALAR = "scalar"
    #: any JSON value, objects and lists included
    ANY = "any"


class Format(StrEnum):
    """Named string formats."""

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
    """Effect of a violated rule on the row."""

    #: the row is invalid and is not sent
    REFUSE = "refuse"
    #: the row is sent; the warning is counted
    WARN = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Further members that an object may have besides the named ones (extension attributes).

    `unique`: no such member may occur in two items of the list that contains the object. `known`: kinds of all
    members that there are, by name; None if any name is allowed.
    """

    pattern: str
    max_count: int
    kind: Kind = Kind.SCALAR
    unique: bool = False
    known: Mapping[str, Kind] | None = None

    def rule(self, name: str) -> Rule:
        """Return the rule of a member."""
        return Rule(kind=self.known.get(name, self.kind) if self.known is not None else self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Constraints of a value.

    Attributes:
        kind: JSON type.
        required_in: Modes in which the value is required; "*" means every mode.
        enum: Allowed values; empty for no enumeration.
        enum_severity: Effect of a value that is not in `enum`.
        format: Named string format.
        pattern: Regular expression for strings; empty for none.
        min_length: Minimum number of characters of a string, or items of an array.
        max_length: Maximum number of characters of a string, or items of an array.
        past: Whether a datetime must be before now.
        fields: Members of an object.
        extra: Further members of an object.
        items: Rule of the items of an array.
        distinct: Members of the items of an array that must differ between any two items.
        source: Document that states the constraints.
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
        """Return the rule of a member, or None."""
        return dict(self.fields).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Members that are required if `field` has one of the values `equals`, in `modes` (empty means every mode)."""

    field: str
    equals: tuple[str, ...]
    required: tuple[str, ...]
    modes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSchema:
    """A kind of record of a vendor: its members and the modes in which it can be sent.

    `fields_in` restricts the members of a mode (for instance `delete`); other modes take all members. `any_of` lists
    per mode ("*" for all others) sets of members of which at least one must be complete. `differ` lists pairs of
    members that must not be equal.
    """

    name: str
    modes: tuple[str, ...]
    root: Rule
    fields_in: Mapping[str, frozenset[str]]
    any_of: Mapping[str, tuple[frozenset[str], ...]]
    conditions: tuple[Condition, ...] = ()
    differ: tuple[tuple[str, str], ...] = ()

    def alternatives(self, mode: str) -> tuple[frozenset[str], ...]:
        """Return the sets of members of which one must be complete in a mode; empty if there is no such rule."""
        return self.any_of.get(mode, self.any_of.get("*", ()))
