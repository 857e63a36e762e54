"""What becomes of the rows of a batch file: they are validated, and reserved values select other outcomes.

| a row with a value that contains | becomes |
| --- | --- |
| `MOCK-REJECT` | rejected |
| `MOCK-RETRY` | rejected with a code of rows that may be sent again, if the vendor has one |
| `MOCK-UNPROCESSED` | listed as not processed, if the vendor has such a list, else rejected |
| `MOCK-SILENT` | accepted, but named neither by the row log nor by the results |
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync_mocks import disk
from batchsync_mocks.generic import checks, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from batchsync_mocks.generic.rows import Row
    from batchsync_mocks.generic.spec import Spec

REJECT, RETRY, UNPROCESSED, SILENT = "MOCK-REJECT", "MOCK-RETRY", "MOCK-UNPROCESSED", "MOCK-SILENT"
#: Codes of rejected rows: the first that the vendor spec does not give another meaning.
_CODES = ("INVALID", "REJECTED", "400", "E400")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOutcome:
    """Outcome of a row: `accepted` or `rejected`, schema and mode, code and message of the vendor.

    `listed`: where a vendor lists it: `log`, `unprocessed`, or nowhere (empty) for a row that it is silent about.
    """

    number: int
    outcome: str
    schema: str
    mode: str
    code: str = ""
    message: str = ""
    listed: str = "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What outcomes depend on besides the rows.

    Attributes:
        given: Values of placeholders, as requests have them.
        now: Time of processing, in epoch seconds.
        reject_every: Every n-th row is rejected; None: none.
    """

    given: Mapping[str, str]
    now: float
    reject_every: int | None = None


def process(file: Path, into: Path, spec: Spec, terms: Terms) -> dict[str, int]:
    """Process an upload, and write the outcome of each row.

    Args:
        file: The upload.
        into: File to write: a line of JSON per row.
        spec: The vendor.
        terms: What outcomes depend on besides the rows.

    Returns:
        Numbers of rows: `rows`, `accepted`, `rejected`.

    Raises:
        UnusableFileError: If the file has another form than the vendor's; nothing is written then.
    """
    counts = {"rows": 0, "accepted": 0, "rejected": 0}
    given, nth = _targeted(spec, {**terms.given, **rows.target_of(file, spec.file)}), terms.reject_every
    with disk.atomic_write(into) as stream:
        for row in rows.read(file, spec.file):
            found = _outcome(row, spec, given, terms.now)
            if nth is not None and row.number % nth == 0 and found.outcome == "accepted":
                found = _rejected(spec, found, "rejected by the switch reject_every")
            counts["rows"] += 1
            counts[found.outcome] += 1
            line = [found.number, found.outcome, found.schema, found.mode, found.code, found.message, found.listed]
            stream.write(json.dumps(line).encode() + b"\n")
    return counts


def read(file: Path) -> Iterator[RowOutcome]:
    """Yield the outcomes in a file that `process` wrote."""
    with file.open(encoding="utf-8") as stream:
        for line in stream:
            number, outcome, schema, mode, code, message, listed = json.loads(line)
            yield RowOutcome(
                number=number, outcome=outcome, schema=schema, mode=mode, code=code, message=message, listed=listed
            )


def rejection_code(spec: Spec) -> str:
    """Return a code of rejected rows that may not be sent again."""
    errors = spec.row_log.errors
    special = {*(errors.get("retry_codes") or ()), *(errors.get("already_absent_codes") or ())}
    ignored = tuple(errors.get("ignored_codes") or ())
    return next((code for code in _CODES if code not in special and not code.startswith(ignored)), _CODES[0])


def _targeted(spec: Spec, given: Mapping[str, str]) -> dict[str, str]:
    """Return schema and mode, as far as parameters or the target tell them."""
    found = {name: given[name] for name in ("schema", "mode") if given.get(name)}
    for param, template in spec.params.items():
        for name in ("schema", "mode"):
            is_named = str(template).strip("{}?").removeprefix("target.") == name
            if is_named and given.get(f"params.{param}"):
                found.setdefault(name, given[f"params.{param}"])
    if given.get("target.schema"):
        found.setdefault("schema", given["target.schema"])
    return found


def _outcome(row: Row, spec: Spec, given: Mapping[str, str], now: float) -> RowOutcome:
    """Return the outcome of a row."""
    known = {**given, **row.named}
    schemas = [known["schema"]] if known.get("schema") else [*spec.schemas]
    modes = [known["mode"]] if known.get("mode") else [*spec.modes]
    # What a batch does not say may be any of them: the first that accepts the record.
    problems: list[str] = []
    accepted = RowOutcome(
        number=row.number,
        outcome="accepted",
        schema=schemas[0] if len(schemas) == 1 else spec.default_schema,
        mode=modes[0],
    )
    for name, mode in ((name, mode) for name in schemas for mode in modes):
        if name not in spec.schemas:
            problems.append(f"no schema {name}")
        else:
            as_text = spec.file.format == "csv"
            reasons = (checks.problem(row.record, form, mode, now=now, as_text=as_text) for form in spec.schemas[name])
            first = next(reasons)
            problems.append("" if not first or "" in reasons else first)
        if not problems[-1]:
            accepted = RowOutcome(number=row.number, outcome="accepted", schema=name, mode=mode)
            break
    if row.problem or (problems and all(problems)):
        return _rejected(spec, accepted, row.problem or problems[0])
    return _reserved(row, spec, accepted)


def _reserved(row: Row, spec: Spec, accepted: RowOutcome) -> RowOutcome:
    """Return the outcome that a reserved value selects, or that of an accepted row."""
    text = json.dumps(row.record)
    retry = next(iter(spec.row_log.errors.get("retry_codes") or ()), "")
    if UNPROCESSED in text and any(download.kind == "unprocessed" for download in spec.downloads):
        return _rejected(spec, accepted, "not processed", listed="unprocessed")
    if RETRY in text and retry:
        return _rejected(spec, accepted, "temporarily unavailable", code=retry)
    if any(value in text for value in (REJECT, RETRY, UNPROCESSED)):
        return _rejected(spec, accepted, "rejected by a reserved value")
    return _with_listing(accepted, "") if SILENT in text else accepted


def _with_listing(found: RowOutcome, listed: str) -> RowOutcome:
    """Return an accepted row that is listed elsewhere, or nowhere."""
    return RowOutcome(number=found.number, outcome=found.outcome, schema=found.schema, mode=found.mode, listed=listed)


def _rejected(spec: Spec, found: RowOutcome, message: str, *, code: str = "", listed: str = "log") -> RowOutcome:
    """Return a rejected row."""
    return RowOutcome(
        number=found.number,
        outcome="rejected",
        schema=found.schema,
        mode=found.mode,
        code=code or rejection_code(spec),
        message=message,
        listed=listed,
    )
