"""Processing of a line of a batch file: parse, validate, apply, and return the outcome.

Envelope and modes are those of sitecore-cdp.md, 4.1 to 4.3.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchsync_mocks import exact_numbers
from batchsync_mocks.sitecore import checks, guests, orders, problems, strict_checks
from batchsync_mocks.sitecore.problems import RecordRejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsync_mocks.sitecore.store import Store
    from batchsync_mocks.sitecore.switches import SitecoreSwitches

MODES = {
    "guest": ("upsert", "delete", "gdpr_delete"),
    "order": ("insert", "upsert", "delete"),
    "tracking": ("insert",),
    "migration": ("guest",),
}
# The error log's page lists these modes, no other page explains them (4.2); enabled by the switch `other_modes`.
OTHER_MODES = ("merge", "create")


def _no_constant(name: str) -> None:
    """Refuse `NaN` and `Infinity`, which are not JSON."""
    msg = f"{name} is not JSON"
    raise ValueError(msg)


# Shared, because creating a decoder takes longer than parsing a line.
_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=exact_numbers.parse)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOutcome:
    """Outcome of a record.

    Attributes:
        ref: Reference of the record; `null` if it could not be parsed.
        schema: Schema of the record.
        mode: Mode of the record.
        code: Code of the error log; None if the record was processed.
        message: Message of the error log.
        detail: Detail for the ledger, which the vendor does not return.
    """

    ref: str
    schema: str | None
    mode: str | None
    code: str | None = None
    message: str | None = None
    detail: str = ""


def read(line: bytes | None) -> dict[str, Any] | None:
    """Return the record of a line; None if it is not a JSON object in UTF-8 (a byte-order mark is invalid, too)."""
    if line is None:
        return None
    try:
        record = _DECODER.decode(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def process(line: bytes | None, store: Store, now: float, switches: SitecoreSwitches) -> RowOutcome:
    """Apply a line to the store, completely or not at all.

    Args:
        line: The line; None for a line that is too long.
        store: Store of the tenant; changed in place.
        now: Epoch seconds.
        switches: Switches of the vendor.

    Returns:
        The outcome of the record.
    """
    nulls = line is not None and b"null" in line
    return _outcome(line, switches, lambda record: _apply(record, store, now, switches, nulls=nulls))


def check_envelope(line: bytes | None, switches: SitecoreSwitches) -> RowOutcome:
    """Return the outcome of a line of which only the envelope is validated, and nothing is applied."""
    return _outcome(line, switches, lambda _: None)


def _outcome(
    line: bytes | None, switches: SitecoreSwitches, apply: Callable[[dict[str, Any]], str | None]
) -> RowOutcome:
    """Parse a line, check its envelope, and apply it; return the outcome."""
    record = read(line)
    if record is None:
        code, reason = problems.UNPARSABLE
        return RowOutcome(ref="null", schema=None, mode=None, code=code, message=reason)
    ref, schema, mode = (_string_or_none(record, name) for name in ("ref", "schema", "mode"))
    try:
        _check_envelope(record, switches)
        message = apply(record)
    except RecordRejectedError as refused:
        rejection = {"code": refused.code, "message": refused.message, "detail": refused.detail}
        return RowOutcome(ref=ref or "null", schema=schema, mode=mode, **rejection)
    return RowOutcome(ref=ref or "null", schema=schema, mode=mode, message=message)


def _check_envelope(record: dict[str, Any], switches: SitecoreSwitches) -> None:
    """Check ref, schema, mode and the presence of a value (4.1 to 4.3)."""
    checks.require(checks.is_uuid(record.get("ref")), "ref", "is required and must be a UUID")
    schema = record.get("schema")
    is_known = isinstance(schema, str) and schema in MODES
    checks.require(is_known, "schema", f"is required and one of {', '.join(MODES)}")
    checks.require("mode" in record, "mode", "is required")
    others = OTHER_MODES if switches.other_modes and schema in {"guest", "order"} else ()
    unwanted = schema == "tracking" and not switches.tracking
    if unwanted or record["mode"] not in (*MODES[str(schema)], *others):
        raise RecordRejectedError(problems.UNSUPPORTED_MODE, f"not a mode of {schema}")
    checks.require(isinstance(record.get("value"), dict), "value", "is required and must be an object")


def _apply(record: dict[str, Any], store: Store, now: float, switches: SitecoreSwitches, *, nulls: bool) -> str | None:
    """Validate a value and apply it to the store; return the message of the error log, if any."""
    schema, mode = str(record["schema"]), str(record["mode"])
    value = checks.without_nulls(record["value"]) if nulls else record["value"]
    tenant = store.for_tenant(switches)
    match schema, mode:
        case "guest", "delete" | "gdpr_delete":
            guests.check_delete(value, tenant)
            gdpr = mode == "gdpr_delete" or switches.delete_takes_orders
            return store.delete_guest(value, gdpr=gdpr)
        case "guest", _:
            guests.check_guest(value, now, tenant)
            strict_checks.check(schema, mode, value, switches)
            store.upsert_guest(value, new_only=mode == "create")
        case "order", "delete":
            orders.check_delete(value)
            return store.delete_order(value)
        case "order", _:
            orders.check_order(value, now, insert=mode in {"insert", "create"}, tenant=tenant)
            strict_checks.check(schema, mode, value, switches)
            store.put_order(value, insert=mode in {"insert", "create"})
        case "migration", _:
            orders.check_migration(value)
            store.migrate(value["migrateFrom"], value["migrateTo"])
        case _:
            orders.check_tracking(value)
            store.track(value)
    return None


def _string_or_none(record: dict[str, Any], name: str) -> str | None:
    """Return an attribute that is a string; None otherwise."""
    value = record.get(name)
    return value if isinstance(value, str) else None
