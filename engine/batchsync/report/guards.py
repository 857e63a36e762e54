"""Report of the guards of a job, defaults included, as a sentence and as plain values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from batchsync.core.guards import Guards, effective_guards

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class JobGuards:
    """The guards that a job sets, and whether it removes, in which case the defaults apply."""

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
        """Yield each guard in effect: name, value as written in jobs.yaml, and whether it is the default."""
        effective = effective_guards(self.own, removes=self.removes)
        for name in (guard.name for guard in fields(Guards)):
            value = getattr(effective, name)
            if value is not None:
                yield name, value if isinstance(value, int) else str(value), getattr(self.own, name) is None
