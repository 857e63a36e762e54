"""The guards that hold for a job, defaults included, in one sentence and as plain values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from lading.core.guards import Guards, in_force

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class JobGuards:
    """The guards of one job as it states them, and whether it removes: the defaults hold then."""

    job: str
    own: Guards
    removes: bool

    def text(self) -> str:
        """Return the guards in one sentence."""
        listed = [f"{name} {value}{' (default)' if default else ''}" for name, value, default in self._each()]
        rest = "" if self.removes else "; it removes nothing"
        return f"{self.job}: {'guards: ' + ', '.join(listed) if listed else 'no guards'}{rest}"

    def data(self) -> dict[str, object]:
        """Return the guards as plain values for JSON."""
        return {name: {"value": value, "default": default} for name, value, default in self._each()}

    def _each(self) -> Iterator[tuple[str, str | int, bool]]:
        """Yield each guard that holds: its name, its value as it would be written, and whether that is the default."""
        holding = in_force(self.own, removes=self.removes)
        for name in (one.name for one in fields(Guards)):
            value = getattr(holding, name)
            if value is not None:
                yield name, value if isinstance(value, int) else str(value), getattr(self.own, name) is None
