"""Validation of the header and the rows of an input file (motorweb-bdp.md, sections 9 and 13).

Reserved values of this mock produce each kind of error:

- a `vin` that starts with `MCK404`, or the `plate` `MOCK404`: `PROCESSING_ERROR`, attempt 3;
- a `vin` that starts with `MCK500`, or the `plate` `MOCK500`: `SERVER_ERROR`, attempt 3.

The result columns of the real service are not documented. `mockWovrStatus` and `mockCheckedAt` are inventions of this
mock, and so are the values NOT_RECORDED, REPAIRABLE_WRITE_OFF and STATUTORY_WRITE_OFF: about one vehicle in ten is
written off, always the same ones.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = ("vin", "plate", "state")
STATES = frozenset({"ACT", "NSW", "NT", "QLD", "SA", "TAS", "VIC", "WA"})
OUTPUTS = ("mockWovrStatus", "mockCheckedAt")
ERROR_TYPES = ("VALIDATION_ERROR", "PROCESSING_ERROR", "SERVER_ERROR")
_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
_CHASSIS = re.compile(r"[A-HJ-NPR-Z0-9]{6,16}")
_MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """Error of a row, as Motorweb reports it."""

    type: str
    description: str
    attempt: int


def header_error(header: Sequence[str]) -> str | None:
    """Return the error of a header row; None if it is valid.

    The columns are those of the template, in any order, each at most once, and enough of them to name a vehicle. A
    byte-order mark makes the first name invalid.
    """
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        return f"{len(unknown)} column(s) are not in the template, the first is number {header.index(unknown[0]) + 1}"
    if len(set(header)) != len(header):
        return "a column occurs twice"
    if "vin" not in header and not {"plate", "state"} <= set(header):
        return "there is neither vin nor both plate and state"
    return None


def validate_row(header: Sequence[str], fields: Sequence[str], *, short_chassis: bool = False) -> RowError | None:
    """Validate a row.

    Args:
        header: Column names.
        fields: Values of the row.
        short_chassis: Whether 6 to 16 characters are a valid VIN, too.

    Returns:
        The error, or None if the row gets a result.
    """
    if len(fields) != len(header):
        return _invalid(f"Row has {len(fields)} fields, the header has {len(header)}")
    row = dict(zip(header, fields, strict=True))
    vin, plate, state = (row.get(name, "").strip().upper() for name in COLUMNS)
    if re.fullmatch(_VIN, vin) or (short_chassis and re.fullmatch(_CHASSIS, vin)):
        return _reserved_value_error(vin.startswith("MCK404"), vin.startswith("MCK500"), "VIN not found")
    if plate and state in STATES:
        return _reserved_value_error(plate == "MOCK404", plate == "MOCK500", "Plate/State not found")
    if vin:
        return _invalid("VIN must be 17 letters and digits without I, O and Q")
    if plate:
        return _invalid("Plate needs a state" if not state else "State is not an Australian jurisdiction")
    return _invalid("Neither VIN nor plate and state")


def result_values(row: Mapping[str, str], checked_at: str) -> tuple[str, str]:
    """Return the values of the output columns of a valid row."""
    identity = "|".join(row.get(name, "").strip().upper() for name in COLUMNS)
    digest_byte = hashlib.sha256(identity.encode()).digest()[0]
    statuses = {0: "STATUTORY_WRITE_OFF", 1: "REPAIRABLE_WRITE_OFF"}
    return statuses.get(digest_byte % 20, "NOT_RECORDED"), checked_at


def _reserved_value_error(not_found: bool, server: bool, description: str) -> RowError | None:  # noqa: FBT001 - two reserved values
    """Return the error of a reserved value; None for any other value."""
    if not_found:
        return RowError(type="PROCESSING_ERROR", description=description, attempt=_MAX_ATTEMPTS)
    if server:
        return RowError(type="SERVER_ERROR", description="Provider unavailable", attempt=_MAX_ATTEMPTS)
    return None


def _invalid(description: str) -> RowError:
    """Return a validation error."""
    return RowError(type="VALIDATION_ERROR", description=description, attempt=1)
