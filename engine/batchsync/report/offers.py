"""Report of `batchsync vendors services`: what the target of a job may select at a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import Style, escape_controls, markdown, markdown_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.ports import TargetOption


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsReport:
    """The options of a vendor's list.

    Attributes:
        connection: Name of the connection.
        key: Key of `target:` that names an option.
        options: The options, in the vendor's order.
    """

    connection: str
    key: str
    options: tuple[TargetOption, ...]

    def text(self, paint: Style) -> str:
        """Return the name of each option, with its id and description below it."""
        if not self.options:
            return f"{self.connection}: the vendor lists no {self.key}"
        lines = []
        for item in self.options:
            lines.append(paint(escape_controls(item.name or item.id), "head"))
            lines += [f"  id: {escape_controls(item.id)}"] if item.name else []
            lines += [f"  {escape_controls(item.description)}"] if item.description else []
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return a table."""
        rows = [(item.name, item.id, item.description) for item in self.options]
        table = markdown_table((self.key, "id", "description"), rows, right=frozenset())
        return f"### {markdown(self.connection)}\n\n{table}"

    def data(self) -> dict[str, object]:
        """Return the options as a JSON-compatible dictionary."""
        return {"connection": self.connection, "key": self.key, "options": [_option(item) for item in self.options]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per option."""
        for item in self.options:
            yield {"event": "option"} | _option(item)


def _option(item: TargetOption) -> dict[str, object]:
    return {"id": item.id, "name": item.name or None, "description": item.description or None}
