"""Report of the contract of a source: what it promises, and what was counted in its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.contract import OnBreach, instant_text, null_text
from batchsync.core.retention import period_text

if TYPE_CHECKING:
    from batchsync.core.contract import Contract, ContractCounts

_CONSEQUENCES = {OnBreach.HOLD: "otherwise the run awaits approval", OnBreach.FAIL: "otherwise the run fails"}


@dataclass(frozen=True, slots=True)
class ContractReport:
    """The contract of the source of a job, with the counts of a plan if there are any."""

    contract: Contract
    counts: ContractCounts | None = None

    def text(self) -> str:
        """Return what the source promises in one sentence."""
        promises = [*filter(None, (self.contract.freshness,)), *self.contract.columns]
        return f"{', '.join(map(str, promises))}; {_CONSEQUENCES[self.contract.on_breach]}"

    def counted(self) -> str:
        """Return what was counted in one sentence, or that the source has no rows."""
        contract, counts = self.contract, self.counts
        if counts is None or not counts.rows:
            return "the source has no rows"
        found = []
        if (fresh := contract.freshness) is not None:
            newest = self._newest or "unknown"
            shown = f"newest value {newest}" if fresh.shown else "newest value not shown"
            found.append(f"{fresh.column}: {shown}, allowed age {period_text(fresh.max_age)}")
        found += [f"{rule.column}: {null_text(rule, counts)}" for rule in contract.columns]
        return "; ".join(found)

    def data(self) -> dict[str, object]:
        """Return the contract, and the counts if there are any, as a JSON-compatible dictionary."""
        contract, counts = self.contract, self.counts
        fresh: dict[str, object] | None = None
        if contract.freshness is not None:
            fresh = {"column": contract.freshness.column, "max_age": period_text(contract.freshness.max_age)}
            fresh |= {} if counts is None else {"newest": self._newest}
        columns = {
            rule.column: {"max_null": str(rule.max_null)}
            | ({} if counts is None else {"null": counts.nulls.get(rule.column, 0)})
            for rule in contract.columns
        }
        rows = {} if counts is None else {"rows": counts.rows}
        return {**rows, "freshness": fresh, "columns": columns, "on_breach": contract.on_breach.value}

    @property
    def _newest(self) -> str | None:
        """The greatest value of the column of the freshness, if it is known and shown."""
        fresh, counts = self.contract.freshness, self.counts
        if fresh is None or not fresh.shown or counts is None or counts.newest is None:
            return None
        return instant_text(counts.newest)
