"""Expected vendor calls, files, bytes and time of a plan, as sentences and as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.forecast import Basis
from batchsync.report.text_format import format_duration, pluralize, size

if TYPE_CHECKING:
    from batchsync.core.forecast import Forecast

#: From this on, a forecast is given in whole days.
_WHOLE_DAYS = timedelta(days=10)


@dataclass(frozen=True, slots=True)
class ForecastReport:
    """Forecast of the plan of one job."""

    forecast: Forecast

    def sentences(self) -> tuple[str, str]:
        """Return the expected files, bytes and calls as a sentence, and the expected time as another."""
        found = self.forecast
        amount = pluralize(found.files, "batch file")
        if found.size is not None:
            amount += f", about {size(found.size)} ({self._size_from()})"
        elif found.raw_size is not None:
            amount += f", about {size(found.raw_size)} before compression and envelopes"
        about = "at least" if found.per_batch is None else "about"
        return f"expected: {amount}, {about} {pluralize(found.calls, 'vendor call')}", f"expected time: {self._time()}"

    def _size_from(self) -> str:
        """Return what the bytes are known from."""
        found = self.forecast
        records = pluralize(found.measured, "record")
        if found.size_from is Basis.SAMPLE:
            return f"by a sample of {records}, encoded and compressed"
        return f"by {records} in past batches of this job"

    def _time(self) -> str:
        """Return the expected time, and what it rests on."""
        found = self.forecast
        if found.days > 1:
            whole = found.duration is None or found.duration <= timedelta(days=found.days - 1)
            limit = f"a limit of {found.day_limit} a day (set by the {self._set_by(found.day_limit_from)})"
            return f"{found.days:,} days, because of {limit}" if whole else self._known()
        return self._known()

    def _known(self) -> str:
        """Return the time that batches need, or why it is not known."""
        found = self.forecast
        if found.duration is None:
            unknown = f"not known, because there is no past batch of {found.vendor}"
            if found.files == 1:
                return unknown
            first = f"none has a verdict before the first poll; {self._batches()}"
            return f"{unknown}; at least {_rounded(found.at_least)}: {first}"
        each = ""
        if found.files > 1:
            each = f", at {format_duration(found.per_batch or timedelta())} each"
        uploads = ""
        if found.uploads is not None:
            uploads = f"; of it about {_rounded(found.uploads / found.in_flight)} for uploads, as fast as past ones"
        elif found.files > 1:
            uploads = "; uploads not included"
        return f"about {_rounded(found.duration)} at the vendor: {self._batches()}{each} ({self._time_from()}){uploads}"

    def _batches(self) -> str:
        """Return how many batches there are, how many of them at a time, and who says so."""
        found = self.forecast
        if found.files == 1:
            return "1 batch"
        at_a_time = "one after another" if found.in_flight == 1 else f"{found.in_flight} at a time"
        return f"about {found.files:,} batches, {at_a_time} (limit of the {self._set_by(found.in_flight_from)})"

    def _set_by(self, basis: Basis | None) -> str:
        """Return who set a limit."""
        return "connection" if basis is Basis.CONNECTION else f"vendor spec {self.forecast.vendor}"

    def _time_from(self) -> str:
        """Return what the time of a batch is known from."""
        found = self.forecast
        if found.per_batch_from is Basis.VENDOR:
            return f"by the vendor spec {found.vendor}"
        whose = "this job" if found.per_batch_from is Basis.JOB else found.vendor
        smaller = f", of about {pluralize(found.past_rows, 'record')} each" if self._were_smaller() else ""
        return f"by {pluralize(found.past, 'past batch', 'past batches')} of {whose}{smaller}"

    def _were_smaller(self) -> bool:
        """Return whether the past batches were less than half as large as those that are expected."""
        found = self.forecast
        return found.past_rows * 2 < found.rows_per_file

    def data(self) -> dict[str, object]:
        """Return the forecast as a JSON-compatible dictionary."""
        found = self.forecast
        return {
            "batch_files": found.files,
            "records_per_file": found.rows_per_file,
            "bytes": found.size,
            "bytes_from": found.size_from,
            "measured_records": found.measured,
            "uncompressed_bytes": found.raw_size,
            "vendor_calls": found.calls,
            "seconds": _seconds(found.duration),
            "seconds_at_least": _seconds(found.at_least),
            "seconds_per_batch": _seconds(found.per_batch),
            "seconds_from": found.per_batch_from,
            "upload_seconds": _seconds(found.uploads),
            "in_flight": found.in_flight,
            "in_flight_from": found.in_flight_from,
            "past_batches": found.past,
            "past_records": found.past_rows,
            "days": found.days,
            "day_limit": found.day_limit or None,
            "day_limit_from": found.day_limit_from,
        }


def _seconds(duration: timedelta | None) -> int | None:
    """Return a duration in whole seconds."""
    return None if duration is None else round(duration.total_seconds())


def _rounded(duration: timedelta) -> str:
    """Return a duration; a long one in whole days."""
    return f"{round(duration / timedelta(days=1)):,} days" if duration >= _WHOLE_DAYS else format_duration(duration)
