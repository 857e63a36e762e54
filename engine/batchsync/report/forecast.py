"""Expected vendor calls, files, bytes and time of a plan, as sentences and as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import format_duration, pluralize, size

if TYPE_CHECKING:
    from batchsync.core.forecast import Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastReport:
    """Forecast of the plan of one job; `vendor` is the name of its vendor."""

    vendor: str
    forecast: Forecast

    def sentences(self) -> tuple[str, str]:
        """Return the expected files, bytes and calls as a sentence, and the expected time as another."""
        found = self.forecast
        about = "about" if found.past else "at least"
        amount = pluralize(found.files, "batch file")
        if found.size is not None:
            amount += f", about {size(found.size)}"
        elif found.raw_size is not None:
            amount += f", about {size(found.raw_size)} before compression and envelopes"
        return f"expected: {amount}, {about} {pluralize(found.calls, 'vendor call')}", f"expected time: {self._time()}"

    def _time(self) -> str:
        """Return the expected time, and what it rests on."""
        found = self.forecast
        if found.days > 1:
            return f"{found.days:,} days, because of a daily limit of the account"
        if found.duration is None:
            return f"not known, because there is no past batch of {self.vendor}"
        batches = pluralize(found.files, "batch", "batches")
        if found.files > 1:
            batches += " one after another" if found.in_flight == 1 else f", {found.in_flight} at a time"
        rests = f"by {pluralize(found.past, 'past batch', 'past batches')} of {self.vendor}"
        return f"about {format_duration(found.duration)} at the vendor ({batches}; {rests})"

    def data(self) -> dict[str, object]:
        """Return the forecast as a JSON-compatible dictionary."""
        found = self.forecast
        return {
            "batch_files": found.files,
            "bytes": found.size,
            "uncompressed_bytes": found.raw_size,
            "vendor_calls": found.calls,
            "seconds": None if found.duration is None else round(found.duration.total_seconds()),
            "in_flight": found.in_flight,
            "past_batches": found.past,
            "days": found.days,
        }
