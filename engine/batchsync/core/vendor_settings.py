"""Settings of a vendor: what a connection chooses where accounts of one vendor differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingValue:
    """A value that a setting allows, and what it means."""

    value: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A key of the connections of a vendor.

    Attributes:
        name: The key.
        title: Short title for editors and pages.
        values: Allowed values.
        default: Value of a connection that does not set it; empty if the vendor spec then holds as it is written.
        source: Document that states the choice.
    """

    name: str
    title: str
    values: tuple[SettingValue, ...]
    default: str
    source: str

    @property
    def choices(self) -> tuple[str, ...]:
        """Allowed values, in the order of the vendor spec."""
        return tuple(item.value for item in self.values)
