"""Stricter readings of the record documents, each behind a switch: unknown attributes, closed lists, required items.

It does not know the store; what every reading agrees on is checked elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading_mocks.sitecore import checks, guests, orders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lading_mocks.sitecore.checks import Value
    from lading_mocks.sitecore.switches import SitecoreSwitches

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
    """Check a guest or an order that passed the usual checks against the readings that are turned on.

    Raises:
        Refused: `Validation error`, with where and what in the detail.
    """
    if mode in {"delete", "gdpr_delete"}:
        return
    if schema == "guest":
        _check_guest(value, switches)
    if schema == "order":
        _check_order(value, switches)


def _check_guest(value: Value, switches: SitecoreSwitches) -> None:
    if switches.guest_type_required:
        checks.present(value, ("guestType",))
    if switches.closed_lists:
        checks.known(value, _CLOSED_PERSON)
    if switches.strict_attributes:
        _only(value, _GUEST)


def _check_order(value: Value, switches: SitecoreSwitches) -> None:
    contact, items = value["contact"], value["orderItems"]
    if switches.strict_items:
        for item in items:
            checks.present(item, orders.FOR_ITEM, "orderItems.")
    if switches.closed_lists:
        checks.known(value, _CLOSED_ORDER)
        checks.known(contact, _CLOSED_PERSON, "contact.")
        for segment in (one for item in items for one in item.get("flightSegments", [])):
            checks.known(segment, _CLOSED_SEGMENT, "orderItems.flightSegments.")
    if switches.strict_attributes:
        _only(value, _ORDER)
        _only(contact, _GUEST, "contact.")
        for item in items:
            _only(item, _ITEM, "orderItems.")
        for consumer in value.get("consumers", []):
            _only(consumer, _CONSUMER, "consumers.")


def _only(value: Value, names: Iterable[str], where: str = "") -> None:
    surplus = sum(name not in names for name in value)
    checks.demand(not surplus, where or "value", f"has {surplus} attribute(s) that are not documented")
