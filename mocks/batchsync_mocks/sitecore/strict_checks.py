"""Stricter checks of records, enabled by switches: unknown attributes, closed lists, required items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync_mocks.sitecore import checks, guests, orders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync_mocks.sitecore.checks import Value
    from batchsync_mocks.sitecore.switches import SitecoreSwitches

_TITLES = (
    *("Br", "Brigadier", "Capt", "Colonel", "Dame", "Dr", "Elder", "Fr", "General", "Hon", "Judge", "Lord", "Master"),
    *("Miss", "Mr", "Mrs", "Ms", "Mstr", "Prof", "Rabbi", "Rev", "Shaikha", "Sheikh", "Sir", "Sister", "Sr"),
)
_CLOSED_PERSON = {"title": checks.one_of(*_TITLES)}
_CLOSED_ORDER = {
    "paymentType": checks.one_of("Card", "Paypal", "Voucher", "ATM", "Cash", "Other"),
    "cardType": checks.one_of("Mastercard", "Visa", "Diners", "American Express"),
}
_CLOSED_SEGMENT = {"fareClass": checks.one_of("Economy", "Business", "First Class")}
_LISTS = {"identifiers", "extensions"}
_GUEST = {*guests.PERSON, *guests.GUEST, *_LISTS, "subscriptions"}
_CONSUMER = {*guests.PERSON, *_LISTS, "orderItems"}
_ORDER = {*orders.ORDER, "contact", "orderItems", "extensions", "consumers"}
_ITEM = {*orders.ITEM, "flightSegments", "extensions"}


def check(schema: str, mode: str, value: Value, switches: SitecoreSwitches) -> None:
    """Check a guest or an order that passed the usual checks against the enabled stricter rules.

    Args:
        schema: Schema of the record.
        mode: Mode of the record.
        value: Value of the record.
        switches: Switches of the vendor.

    Raises:
        RecordRejectedError: If a rule is violated: `Validation error`.
    """
    if mode in {"delete", "gdpr_delete"}:
        return
    if schema == "guest":
        _check_guest(value, switches)
    if schema == "order":
        _check_order(value, switches)


def _check_guest(value: Value, switches: SitecoreSwitches) -> None:
    """Check a guest against the enabled stricter rules."""
    if switches.guest_type_required:
        checks.require_attributes(value, ("guestType",))
    if switches.closed_lists:
        checks.check_attributes(value, _CLOSED_PERSON)
    if switches.strict_attributes:
        _reject_unknown(value, _GUEST)


def _check_order(value: Value, switches: SitecoreSwitches) -> None:
    """Check an order against the enabled stricter rules."""
    contact, items = value["contact"], value["orderItems"]
    if switches.strict_items:
        for item in items:
            checks.require_attributes(item, orders.REQUIRED_FOR_ITEM, "orderItems.")
    if switches.closed_lists:
        checks.check_attributes(value, _CLOSED_ORDER)
        checks.check_attributes(contact, _CLOSED_PERSON, "contact.")
        for segment in (entry for item in items for entry in item.get("flightSegments", [])):
            checks.check_attributes(segment, _CLOSED_SEGMENT, "orderItems.flightSegments.")
    if switches.strict_attributes:
        _reject_unknown(value, _ORDER)
        _reject_unknown(contact, _GUEST, "contact.")
        for item in items:
            _reject_unknown(item, _ITEM, "orderItems.")
        for consumer in value.get("consumers", []):
            _reject_unknown(consumer, _CONSUMER, "consumers.")


def _reject_unknown(value: Value, names: Iterable[str], path: str = "") -> None:
    """Raise if a value has attributes other than the named."""
    surplus = sum(name not in names for name in value)
    checks.require(not surplus, path or "value", f"has {surplus} attribute(s) that are not documented")
