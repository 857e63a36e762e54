"""Validation of order, migration and tracking records (sitecore-cdp.md, sections 6 to 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync_mocks.sitecore import checks, guests
from batchsync_mocks.sitecore.tenant import DEFAULT

if TYPE_CHECKING:
    from batchsync_mocks.sitecore.checks import Value
    from batchsync_mocks.sitecore.tenant import Tenant

MAX_ATTRIBUTES = 50
_CURRENCY = checks.matching("[A-Z]{3}", "three upper-case letters (ISO 4217)")
_AIRPORT = checks.matching("[A-Z]{3}", "three upper-case letters (IATA)")
_LOCAL = checks.utc_datetime
_CHANNELS = ("AIRPORT_KIOSK", "BRANCH", "CALL_CENTER", "GDS", "KIOSK", "MOBILE_APP", "MOBILE_WEB", "OFFLINE", "OTA")
ORDER: dict[str, checks.Check] = {
    "referenceId": checks.non_empty,
    "channel": checks.one_of(*_CHANNELS, "OTHER", "WEB"),
    "pointOfSale": checks.non_empty,
    "status": checks.one_of("PURCHASED", "PAYMENT_PENDING", "CONFIRMED", "CANCELLED", "REFUNDED"),
    "orderedAt": checks.utc_datetime,
    "currencyCode": _CURRENCY,
    "price": checks.number,
    "paymentType": checks.non_empty,
    "cardType": checks.non_empty,
}
_REQUIRED_FOR_UPSERT = ("referenceId", "channel", "pointOfSale", "orderedAt", "contact", "orderItems")
_REQUIRED_FOR_INSERT = (*_REQUIRED_FOR_UPSERT, "status", "currencyCode", "price", "paymentType")
ITEM: dict[str, checks.Check] = {
    "type": checks.non_empty,
    "productId": checks.non_empty,
    "name": checks.max_length(128),
    "description": checks.string,
    "vendor": checks.non_empty,
    "orderedAt": checks.utc_datetime,
    "quantity": checks.number,
    "price": checks.number,
    "currencyCode": _CURRENCY,
    "originalPrice": checks.number,
    "originalCurrencyCode": _CURRENCY,
    "referenceId": checks.non_empty,
    "status": checks.non_empty,
    "consumerTypeCode": checks.string,
}
REQUIRED_FOR_ITEM = ("type", "productId", "name", "description", "vendor", "price", "currencyCode")
_SEGMENT: dict[str, checks.Check] = {
    "id": checks.non_empty,
    "origin": _AIRPORT,
    "destination": _AIRPORT,
    "departureDateTime": _LOCAL,
    "arrivalDateTime": _LOCAL,
    "flightNumber": checks.non_empty,
    "fareClass": checks.non_empty,
    "fareFamily": checks.string,
    "carrier": checks.non_empty,
}
_REQUIRED_FOR_SEGMENT = (
    "id",
    "origin",
    "destination",
    "departureDateTime",
    "arrivalDateTime",
    "flightNumber",
    "fareClass",
)
_TRACKING: dict[str, checks.Check] = {
    "serviceIdentifier": checks.non_empty,
    "occurredAt": checks.utc_datetime,
    "channel": checks.non_empty,
    "type": checks.non_empty,
    "uotr": checks.non_empty,
}


def check_order(value: Value, now: float, *, insert: bool, tenant: Tenant = DEFAULT) -> None:
    """Check the value of an order; on upsert, items may be incomplete (6.3).

    Args:
        value: The value of the record.
        now: Epoch seconds.
        insert: Whether the rules of an insert apply.
        tenant: Rules of the tenant, by which the contact is identified.

    Raises:
        RecordRejectedError: If an attribute is missing or invalid, or the contact has no identity.
    """
    checks.require_attributes(value, _REQUIRED_FOR_INSERT if insert else _REQUIRED_FOR_UPSERT)
    checks.check_attributes(value, ORDER)
    needs_card = insert and value.get("paymentType") == "Card"
    checks.require(not needs_card or "cardType" in value, "cardType", "is required when paymentType is Card")
    items = checks.object_list(value, "orderItems")
    checks.require(bool(items), "orderItems", "must not be empty")
    for item in items:
        _check_item(item, insert=insert)
    checks.check_extensions(value, groups=("ext",), max_attributes=MAX_ATTRIBUTES)
    _check_consumers(value, now)
    contact = value["contact"]
    checks.require(isinstance(contact, dict), "contact", "must be an object")
    guests.check_person(contact, now, "contact.")
    groups = () if tenant.free_extensions else guests.GROUPS
    checks.check_extensions(contact, groups=groups, max_attributes=guests.MAX_ATTRIBUTES, path="contact.")
    tenant.check_attributes("order", value)
    guests.check_identity(contact, tenant)


def check_delete(value: Value) -> None:
    """Check the value of an order delete (6.6)."""
    checks.require_attributes(value, ("referenceId",))
    checks.check_attributes(
        value, {"referenceId": checks.non_empty, "orderedAt": checks.utc_datetime, "orderRef": checks.non_empty}
    )


def check_migration(value: Value) -> None:
    """Check the value of a migration (section 7): both guests by identifiers, and not the same guest."""
    for end in ("migrateFrom", "migrateTo"):
        checks.require(isinstance(value.get(end), dict), end, "is required and must be an object")
        checks.require(bool(value[end].get("identifiers")), f"{end}.identifiers", "is required")
        guests.check_identifiers(value[end], f"{end}.")
    ends = [DEFAULT.identities_of({"identifiers": value[end]["identifiers"]}) for end in ("migrateFrom", "migrateTo")]
    checks.require(sorted(ends[0]) != sorted(ends[1]), "migrateTo", "is the same as migrateFrom")


def check_tracking(value: Value) -> None:
    """Check the value of a tracking event (section 8; which attributes are required is assumed there)."""
    checks.require_attributes(value, tuple(_TRACKING))
    checks.check_attributes(value, _TRACKING)
    for name in ("utms", "feedback"):
        checks.require(isinstance(value.get(name, {}), dict), name, "must be an object")


def _check_item(item: Value, *, insert: bool) -> None:
    """Check an order item (6.2)."""
    path = "orderItems."
    if insert:
        checks.require_attributes(item, REQUIRED_FOR_ITEM, path)
    checks.check_attributes(item, ITEM, path)
    checks.check_extensions(item, groups=("ext",), max_attributes=MAX_ATTRIBUTES, path=path)
    for segment in checks.object_list(item, "flightSegments", path):
        if insert:
            checks.require_attributes(segment, _REQUIRED_FOR_SEGMENT, f"{path}flightSegments.")
        checks.check_attributes(segment, _SEGMENT, f"{path}flightSegments.")


def _check_consumers(value: Value, now: float) -> None:
    """Check the consumers of an order."""
    items = {item.get("referenceId") for item in value["orderItems"]}
    for consumer in checks.object_list(value, "consumers"):
        guests.check_person(consumer, now, "consumers.")
        for link in checks.object_list(consumer, "orderItems", "consumers."):
            reference = link.get("referenceId")
            linked = isinstance(reference, str) and reference in items
            checks.require(linked, "consumers.orderItems.referenceId", "refers to no item of this order")
