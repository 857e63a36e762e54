"""Report of `batchsync vendors check`: how exchanges were played, what is assumed, and what is not stated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import Style, escape_controls, markdown, markdown_table, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.vendor_exchange import FolderFindings, PlayedExchange


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedDeviation:
    """A deviation in an exchange with its place: `by` is `client` or `mock`."""

    exchange: str
    by: str
    file: str
    line: int
    column: int
    at: str
    message: str

    def data(self) -> dict[str, object]:
        """Return the deviation as a JSON-compatible dictionary."""
        return {
            "exchange": self.exchange,
            "by": self.by,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "at": self.at,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorCheckReport:
    """What a check of a vendor's valid folder found.

    Attributes:
        vendor: Name of the vendor.
        title: What it is called.
        schemas: Names of its record schemas.
        played: The exchanges, as played.
        deviations: All deviations of the exchanges, with their places.
        findings: What the files of the folder say.
        mocked: Whether exchanges were played at a mock.
        next_step: Next command to type.
    """

    vendor: str
    title: str
    schemas: tuple[str, ...]
    played: tuple[PlayedExchange, ...]
    deviations: tuple[PlacedDeviation, ...]
    findings: FolderFindings
    mocked: bool
    next_step: str

    def text(self, paint: Style) -> str:
        """Return a summary, the deviations, the assumptions and what is not stated."""
        lines = [f"{paint(self.vendor, 'head')}: {escape_controls(self._summary())}"]
        for item in self.deviations:
            place = f"{item.file}:{item.line}:{item.column}"
            text = escape_controls(f"{item.at}: {item.message} ({item.by})")
            lines.append(f"{paint('deviates', 'bad')}  {escape_controls(place)}: {text}")
        assumed, unstated = self.findings.assumptions, self.findings.unstated
        lines += [paint(f"assumed ({len(assumed)})", "head")] if assumed else []
        lines += [escape_controls(f"  {item.file}:{item.line}: {item.at}: {item.text}") for item in assumed]
        lines += [paint(f"not stated ({len(unstated)})", "head")] if unstated else []
        lines += [escape_controls(f"  {item.at}: {item.missing}; {item.effect}") for item in unstated]
        lines.append(f"{paint('next', 'head')}: {escape_controls(self.next_step)}")
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the same as tables."""
        parts = [f"### batchsync vendors check: {markdown(self.vendor)}", markdown(self._summary())]
        tables = (
            ("Deviations", ("place", "what", "by"), [_deviation_row(item) for item in self.deviations]),
            (
                "Assumed",
                ("place", "about", "text"),
                [(f"{item.file}:{item.line}", item.at, item.text) for item in self.findings.assumptions],
            ),
            (
                "Not stated",
                ("where", "what", "effect"),
                [(item.at, item.missing, item.effect) for item in self.findings.unstated],
            ),
        )
        for title, header, rows in tables:
            if rows:
                parts += [f"#### {title}", markdown_table(header, rows, right=frozenset())]
        return "\n\n".join(parts)

    def data(self) -> dict[str, object]:
        """Return the report as a JSON-compatible dictionary."""
        return {
            "vendor": self.vendor,
            "title": self.title,
            "schemas": [*self.schemas],
            "exchanges": [_played(item) for item in self.played],
            "deviations": [item.data() for item in self.deviations],
            "facts": self.findings.facts,
            "assumed": [
                {"file": item.file, "line": item.line, "column": item.column, "at": item.at, "text": item.text}
                for item in self.findings.assumptions
            ],
            "unstated": [
                {"at": item.at, "missing": item.missing, "effect": item.effect} for item in self.findings.unstated
            ],
            "next": [self.next_step],
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per exchange and deviation."""
        for played in self.played:
            yield {"event": "exchange"} | _played(played)
        for item in self.deviations:
            yield {"event": "deviation"} | item.data()

    def _summary(self) -> str:
        """Return what was checked, in one sentence."""
        deviating = sum(not item.holds for item in self.played)
        at_mock = sum(item.mock is not None for item in self.played)
        exchanges = pluralize(len(self.played), "exchange")
        mock = f", {at_mock} of them at the mock" if self.mocked else ", the mock was not asked"
        found = f"{deviating} deviating" if deviating else "no deviation"
        schemas = f"record schemas {', '.join(self.schemas)}" if self.schemas else "no record schema"
        facts = pluralize(self.findings.facts, "fact")
        return f"valid, {schemas}, {facts}; {exchanges} played{mock if self.played else ''}: {found}"


def _deviation_row(item: PlacedDeviation) -> tuple[str, str, str]:
    return f"{item.file}:{item.line}:{item.column}", f"{item.at}: {item.message}", item.by


def _played(item: PlayedExchange) -> dict[str, object]:
    """Return how an exchange was played: `mock` is null if it was not played there."""
    return {
        "name": item.exchange.name,
        "call": item.exchange.call,
        "client": not item.client,
        "mock": None if item.mock is None else not item.mock,
    }
