"""Report of `batchsync vendors verify`: a verdict per known fact. It has no secret, no address and no value."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.verification import FactVerdict
from batchsync.report.text_format import Style, escape_controls, markdown, markdown_table, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.vendor_details import KnownFact
    from batchsync.core.verification import Judgement

_ROLES = {FactVerdict.CONFIRMED: "good", FactVerdict.REFUTED: "bad"}
_ORDER = (FactVerdict.REFUTED, FactVerdict.CONFIRMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedFact:
    """A fact with its judgement."""

    fact: KnownFact
    judgement: Judgement

    def data(self) -> dict[str, object]:
        """Return the fact as a JSON-compatible dictionary."""
        return {
            "fact": self.fact.id,
            "says": self.fact.text,
            "source": self.fact.source,
            "certainty": self.fact.certainty,
            "verdict": self.judgement.verdict.value,
            "answers": self.judgement.seen,
            "differences": [*self.judgement.differences],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """The verdicts about all facts of a vendor.

    Attributes:
        vendor: Name of the vendor.
        settings: What the connection chose of the vendor's settings.
        sent: Number of rows of the test batch.
        state: How the test batch ended.
        facts: The facts, in the order of their file.
    """

    vendor: str
    settings: Mapping[str, str]
    sent: int
    state: str
    facts: tuple[JudgedFact, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of facts by verdict."""
        counted = Counter(item.judgement.verdict for item in self.facts)
        return {verdict.value.replace(" ", "_"): counted[verdict] for verdict in FactVerdict}

    def _summary(self) -> str:
        return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.counts.items())

    def text(self, paint: Style) -> str:
        """Return refuted facts with their differences, then confirmed ones, and the counts."""
        lines = [f"{paint(self.vendor, 'head')}: test batch of {pluralize(self.sent, 'row')}, {self.state}"]
        for verdict in _ORDER:
            for item in self.facts:
                if item.judgement.verdict is verdict:
                    fact = item.fact
                    lines.append(
                        f"{paint(f'{verdict.value:<9}', _ROLES[verdict])}  {escape_controls(fact.id)}: "
                        f"{escape_controls(fact.text)} ({escape_controls(fact.certainty)})"
                    )
                    lines += [f"{'':<11}{escape_controls(text)}" for text in item.judgement.differences]
        return "\n".join([*lines, f"{len(self.facts)} facts: {self._summary()}"])

    def markdown(self) -> str:
        """Return a table of all facts."""
        rows = [
            (
                item.judgement.verdict.value,
                item.fact.id,
                item.fact.text,
                item.fact.source,
                item.fact.certainty,
                "; ".join(item.judgement.differences),
            )
            for item in self.facts
        ]
        header = ("verdict", "fact", "behaviour", "source", "certainty", "differences")
        chosen = ", ".join(f"{name}: {value}" for name, value in self.settings.items()) or "none"
        return "\n".join(
            [
                f"### batchsync vendors verify: {markdown(self.vendor)}",
                "",
                f"- Test batch of {pluralize(self.sent, 'row')}: {markdown(self.state)}",
                f"- Settings: {markdown(chosen)}",
                f"- {len(self.facts)} facts: {self._summary()}",
                "",
                markdown_table(header, rows, right=frozenset()),
            ]
        )

    def data(self) -> dict[str, object]:
        """Return the verdicts as a JSON-compatible dictionary."""
        return {
            "vendor": self.vendor,
            "settings": dict(self.settings),
            "rows": self.sent,
            "state": self.state,
            "counts": self.counts,
            "facts": [item.data() for item in self.facts],
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per fact."""
        for item in self.facts:
            yield {"event": "fact"} | item.data()
