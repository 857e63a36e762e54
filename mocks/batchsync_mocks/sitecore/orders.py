"""What order, migration and tracking records must look like (sitecore-cdp.md, sections 6 to 8).

It does not know which orders and guests there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading_mocks.sitecore import checks, guests

if TYPE_CHECKING:
    from lading_mocks.sitecore.checks import Value

MOST_ATTRIBUTES = 50
_CURRENCY = checks.shaped("[A-Z]{3}", "three upper-case letters (ISO 4217)")
_AIRPORT = checks.shaped("[A-Z]{3}", "three upper-case letters (IATA)")
_LOCAL = checks.moment
_CHANNELS = ("AIRPORT_KIOSK", "BRANCH", "CALL_CENTER", "GDS", "KIOSK", "MOBILE_APP", "MOBILE_WEB", "OFFLINE", "OTA")
ORDER: dict[str, checks.Check] = {
    "referenceId": checks.filled,
    "channel": checks.one_of(*_CHANNELS, "OTHER", "WEB"),
    "pointOfSale": checks.filled,
    "status": checks.one_of("PURCHASED", "PAYMENT_PENDING", "CONFIRMED", "CANCELLED", "REFUNDED"),
    "orderedAt": checks.moment,
    "currencyCode": _CURRENCY,
    "price": checks.number,
    "paymentType": checks.filled,
    "cardType": checks.filled,
}
_FOR_UPSERT = ("referenceId", "channel", "pointOfSale", "orderedAt", "contact", "orderItems")
_FOR_INSERT = (*_FOR_UPSERT, "status", "currencyCode", "price", "paymentType")
ITEM: dict[str, checks.Check] = {
    "type": checks.filled,
    "productId": checks.filled,
    "name": checks.at_most(128),
    "description": checks.text,
    "vendor": checks.filled,
    "orderedAt": checks.moment,
    "quantity": checks.number,
    "price": checks.number,
    "currencyCode": _CURRENCY,
    "originalPrice": checks.number,
    "originalCurrencyCode": _CURRENCY,
    "referenceId": checks.filled,
    "status": checks.filled,
    "consumerTypeCode": checks.text,
}
FOR_ITEM = ("type", "productId", "name", "description", "vendor", "price", "currencyCode")
_SEGMENT: dict[str, checks.Check] = {
    "id": checks.filled,
    "origin": _AIRPORT,
    "destination": _AIRPORT,
    "departureDateTime": _LOCAL,
    "arrivalDateTime": _LOCAL,
    "flightNumber": checks.filled,
    "fareClass": checks.filled,
    "fareFamily": checks.text,
    "carrier": checks.filled,
}
_FOR_SEGMENT = ("id", "origin", "destination", "departureDateTime", "arrivalDateTime", "flightNumber", "fareClass")
_TRACKING: dict[str, checks.Check] = {
    "serviceIdentifier": checks.filled,
    "occurredAt": checks.moment,
    "channel": checks.filled,
    "type": checks.filled,
    "uotr": checks.filled,
}


def check_order(value: Value, now: float, *, insert: bool) -> None:
    """Check the value of an order; on upsert the items are only checked for what they carry (6.3).

    Raises:
        Refused: something is missing or broken, or the contact cannot be told from others.
    """
    checks.present(value, _FOR_INSERT if insert else _FOR_UPSERT)
    checks.known(value, ORDER)
    carded = insert and value.get("paymentType") == "Card"
    checks.demand(not carded or "cardType" in value, "cardType", "is required when paymentType is Card")
    items = checks.objects(value, "orderItems")
    checks.demand(bool(items), "orderItems", "must not be empty")
    for item in items:
        _check_item(item, insert=insert)
    checks.extensions(value, groups=("ext",), most=MOST_ATTRIBUTES)
    _check_consumers(value, now)
    contact = value["contact"]
    checks.demand(isinstance(contact, dict), "contact", "must be an object")
    guests.check_person(contact, now, "contact.")
    checks.extensions(contact, groups=guests.GROUPS, most=guests.MOST_ATTRIBUTES, where="contact.")
    guests.check_identity(contact)


def check_delete(value: Value) -> None:
    """Check the value of an order delete (6.6)."""
    checks.present(value, ("referenceId",))
    checks.known(value, {"referenceId": checks.filled, "orderedAt": checks.moment, "orderRef": checks.filled})


def check_migration(value: Value) -> None:
    """Check the value of a migration (section 7): both ends by identifiers, and not the same."""
    for end in ("migrateFrom", "migrateTo"):
        checks.demand(isinstance(value.get(end), dict), end, "is required and must be an object")
        checks.demand(bool(value[end].get("identifiers")), f"{end}.identifiers", "is required")
        guests.check_identifiers(value[end], f"{end}.")
    ends = [guests.names_of({"identifiers": value[end]["identifiers"]}) for end in ("migrateFrom", "migrateTo")]
    checks.demand(sorted(ends[0]) != sorted(ends[1]), "migrateTo", "is the same as migrateFrom")


def check_tracking(value: Value) -> None:
    """Check the value of a tracking event (section 8; which attributes are required is assumed there)."""
    checks.present(value, tuple(_TRACKING))
    checks.known(value, _TRACKING)
    for name in ("utms", "feedback"):
        checks.demand(isinstance(value.get(name, {}), dict), name, "must be an object")


def _check_item(item: Value, *, insert: bool) -> None:
    where = "orderItems."
    if insert:
        checks.present(item, FOR_ITEM, where)
    checks.known(item, ITEM, where)
    checks.extensions(item, groups=("ext",), most=MOST_ATTRIBUTES, where=where)
    for segment in checks.objects(item, "flightSegments", where):
        if insert:
            checks.present(segment, _FOR_SEGMENT, f"{where}flightSegments.")
        checks.known(segment, _SEGMENT, f"{where}flightSegments.")


def _check_consumers(value: Value, now: float) -> None:
    items = {item.get("referenceId") for item in value["orderItems"]}
    for consumer in checks.objects(value, "consumers"):
        guests.check_person(consumer, now, "consumers.")
        for link in checks.objects(consumer, "orderItems", "consumers."):
            reference = link.get("referenceId")
            linked = isinstance(reference, str) and reference in items
            checks.demand(linked, "consumers.orderItems.referenceId", "names no item of this order")
