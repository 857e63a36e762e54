"""One line of a batch file: read it, check it, apply it, and say what became of it.

It does not know files, batches or HTTP. Envelope and modes are those of sitecore-cdp.md, 4.1 to 4.3.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lading_mocks.sitecore import checks, guests, orders, problems, readings
from lading_mocks.sitecore.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading_mocks.sitecore.store import Store
    from lading_mocks.sitecore.switches import SitecoreSwitches

MODES = {
    "guest": ("upsert", "delete", "gdpr_delete"),
    "order": ("insert", "upsert", "delete"),
    "tracking": ("insert",),
    "migration": ("guest",),
}
# The error log's page lists these among the modes, no other page explains them (4.2); behind the switch `other_modes`.
OTHER_MODES = ("merge", "create")


def _no_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


# One for all lines: making it takes longer than reading a line.
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of a record: code and message as the log spells them (no code: processed), detail for the oracle."""

    ref: str
    schema: str | None
    mode: str | None
    code: str | None = None
    message: str | None = None
    detail: str = ""


def read(line: bytes | None) -> dict[str, Any] | None:
    """Read one line; None when it is not one complete JSON object in UTF-8 (a byte-order mark spoils it too)."""
    if line is None:
        return None
    try:
        record = _DECODER.decode(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def process(line: bytes | None, store: Store, now: float, switches: SitecoreSwitches) -> Fate:
    """Apply one line to the store, whole or not at all."""
    nulls = line is not None and b"null" in line
    return _judged(line, switches, lambda record: _apply(record, store, now, switches, nulls=nulls))


def look(line: bytes | None, switches: SitecoreSwitches) -> Fate:
    """Check one line but for its value, and apply nothing."""
    return _judged(line, switches, lambda _: None)


def _judged(line: bytes | None, switches: SitecoreSwitches, apply: Callable[[dict[str, Any]], str | None]) -> Fate:
    record = read(line)
    if record is None:
        code, reason = problems.UNPARSABLE
        return Fate(ref="null", schema=None, mode=None, code=code, message=reason)
    ref, schema, mode = (_said(record, name) for name in ("ref", "schema", "mode"))
    try:
        _check_envelope(record, switches)
        message = apply(record)
    except Refused as refused:
        why = {"code": refused.code, "message": refused.message, "detail": refused.detail}
        return Fate(ref=ref or "null", schema=schema, mode=mode, **why)
    return Fate(ref=ref or "null", schema=schema, mode=mode, message=message)


def _check_envelope(record: dict[str, Any], switches: SitecoreSwitches) -> None:
    checks.demand(checks.is_uuid(record.get("ref")), "ref", "is required and must be a UUID")
    schema = record.get("schema")
    known = isinstance(schema, str) and schema in MODES
    checks.demand(known, "schema", f"is required and one of {', '.join(MODES)}")
    checks.demand("mode" in record, "mode", "is required")
    others = OTHER_MODES if switches.other_modes and schema in {"guest", "order"} else ()
    unwanted = schema == "tracking" and not switches.tracking
    if unwanted or record["mode"] not in (*MODES[str(schema)], *others):
        raise Refused(problems.UNSUPPORTED_MODE, f"not a mode of {schema}")
    checks.demand(isinstance(record.get("value"), dict), "value", "is required and must be an object")


def _apply(record: dict[str, Any], store: Store, now: float, switches: SitecoreSwitches, *, nulls: bool) -> str | None:
    schema, mode = str(record["schema"]), str(record["mode"])
    value = checks.without_nulls(record["value"]) if nulls else record["value"]
    match schema, mode:
        case "guest", "delete" | "gdpr_delete":
            guests.check_delete(value)
            gdpr = mode == "gdpr_delete" or switches.delete_takes_orders
            return store.delete_guest(value, gdpr=gdpr)
        case "guest", _:
            guests.check_guest(value, now)
            readings.check(schema, mode, value, switches)
            store.upsert_guest(value, new_only=mode == "create")
        case "order", "delete":
            orders.check_delete(value)
            return store.delete_order(value)
        case "order", _:
            orders.check_order(value, now, insert=mode in {"insert", "create"})
            readings.check(schema, mode, value, switches)
            store.put_order(value, insert=mode in {"insert", "create"})
        case "migration", _:
            orders.check_migration(value)
            store.migrate(value["migrateFrom"], value["migrateTo"])
        case _:
            orders.check_tracking(value)
            store.track(value)
    return None


def _said(record: dict[str, Any], name: str) -> str | None:
    said = record.get(name)
    return said if isinstance(said, str) else None
