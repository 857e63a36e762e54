"""The guests, orders and events a tenant holds, and what each record changes in them.

It does not know files or batches, and expects records that were checked; it refuses what its contents forbid. What
replaces what follows sitecore-cdp.md, 4.2, 5.4, 6.2, 6.6 and 7. The contact of an order is upserted like a guest
(assumed). Not modelled: duplicates made by two records of one guest in one file (here the second finds the first), and
limits on how much is retained.

Reserved values of this mock: a guest with an identifier whose id starts with `MOCK-OPEN-SESSION` has an open session
(delete: 403 `Action not allowed`; migration: `Unable to migrate Guest with open session`), and one whose id starts with
`MOCK-SERVER-ERROR` fails inside Sitecore (500).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lading_mocks import moments
from lading_mocks.sitecore import problems
from lading_mocks.sitecore.guests import names_of
from lading_mocks.sitecore.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading_mocks.sitecore.checks import Value

DAY = 86_400
_SPACE = uuid.UUID("6e7a4b0e-54b6-5d0c-9d7e-2b1f3c4d5e6f")


@dataclass(slots=True, kw_only=True)
class Guest:
    """One guest as held; `names` are what it can be found by."""

    ref: str
    value: Value
    names: set[tuple[str, str]]
    orders: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Order:
    """One order as held; `ordered` in epoch seconds, `guest` the ref of its contact while that guest exists."""

    ref: str
    value: Value
    ordered: float
    guest: str | None
    travellers: dict[tuple[str, str], str] = field(default_factory=dict)


class Store:
    """Everything one tenant holds."""

    def __init__(self) -> None:
        """Start empty."""
        self._made = 0
        self._guests: dict[str, Guest] = {}
        self._by_name: dict[tuple[str, str], dict[str, None]] = {}
        self._orders: dict[str, Order] = {}
        self._by_reference: dict[str, dict[str, None]] = {}
        self._tracking: list[Value] = []
        self._types: dict[tuple[str, str, str], type] = {}

    def upsert_guest(self, value: Value, *, new_only: bool = False) -> str:
        """Create a guest or, unless `new_only`, update the fields sent; gives its ref."""
        _fail_if_reserved(value)
        if new_only and self._find_guests(value):
            raise Refused(problems.IDENTITY_TAKEN)
        self._types |= self._types_in("guest", value)
        found = self._find_guests(value)
        guest = found[0] if found else self._new_guest()
        merged = guest.value | value
        if "identifiers" in guest.value and "identifiers" in value:
            kept = {(one["provider"], one["id"]): one for one in guest.value["identifiers"]}
            kept |= {(one["provider"], one["id"]): one for one in value["identifiers"]}
            merged["identifiers"] = list(kept.values())
        guest.value = merged
        self._rename(guest, set(names_of(merged)))
        return guest.ref

    def delete_guest(self, value: Value, *, gdpr: bool) -> str:
        """Delete the first guest that matches; with `gdpr` its orders too. Gives the 200 text of the old documents."""
        found = self._find_guests(value)
        if not found:
            raise Refused(problems.GUEST_NOT_FOUND)
        guest = found[0]
        if _has_session(guest):
            raise Refused(problems.NOT_ALLOWED, "the guest has an active session")
        for ref in guest.orders:
            if gdpr:
                self._drop_order(ref)
            else:
                self._orders[ref].guest = None
        self._retire(guest)
        if len(found) > 1:
            return f"{len(found)} matches found for this guest, 1st match deleted"
        return "Guest and associated entities deleted"

    def migrate(self, source: Value, target: Value) -> None:
        """Move the orders of one guest to another and retire the first; no profile attribute changes."""
        leaving, staying = self._find_guests(source), self._find_guests(target)
        if not leaving or not staying:
            raise Refused(problems.GUEST_NOT_FOUND, "migrateTo" if leaving else "migrateFrom")
        old, new = leaving[0], staying[0]
        if _has_session(old) or _has_session(new):
            raise Refused(problems.OPEN_SESSION)
        if old is new:
            raise Refused(problems.VALIDATION, "migrateFrom and migrateTo are the same guest")
        for ref in old.orders:
            self._orders[ref].guest = new.ref
        new.orders |= old.orders
        self._retire(old)

    def put_order(self, value: Value, *, insert: bool) -> None:
        """Create an order, or replace (insert) or update (upsert) the one of that reference within 24 hours."""
        _fail_if_reserved(value["contact"])
        found: dict[tuple[str, str, str], type] = {}
        for entity, held_by in (("order", value), *(("item", item) for item in value["orderItems"])):
            found |= self._types_in(entity, held_by, found)
        # From here on only the contact can be refused, and then nothing has changed yet.
        contact = self.upsert_guest(value["contact"])
        self._types |= found
        ordered = moments.parse(value["orderedAt"]) or 0.0
        held = self._matching_orders(value["referenceId"], ordered)
        if held:
            order = held[0]
            if order.guest in self._guests:
                self._guests[order.guest].orders.pop(order.ref, None)
            order.value = value if insert else order.value | value
            order.ordered, order.guest = ordered, contact
        else:
            order = Order(ref=self._new_ref("order"), value=value, ordered=ordered, guest=contact)
            self._orders[order.ref] = order
            self._by_reference.setdefault(value["referenceId"], {})[order.ref] = None
        self._guests[contact].orders[order.ref] = None
        for consumer in value.get("consumers", []):
            self._meet(consumer, order)

    def _meet(self, consumer: Value, order: Order) -> None:
        # A consumer known only by first and last name becomes a guest of type traveller, unless the name is that of the
        # contact, who is always identified here (6.2). One who is identified is upserted like a contact (assumed).
        name = (str(consumer.get("firstName", "")), str(consumer.get("lastName", "")))
        person = {attribute: held for attribute, held in consumer.items() if attribute != "orderItems"}
        contact = order.value["contact"]
        if names_of(consumer):
            self.upsert_guest(person)
        elif all(name) and name != (contact.get("firstName"), contact.get("lastName")) and name not in order.travellers:
            guest = self._new_guest()
            guest.value = person | {"guestType": "traveller"}
            order.travellers[name] = guest.ref

    def delete_order(self, value: Value) -> str:
        """Delete one order and its items; gives the 200 text of the documents."""
        ordered = moments.parse(value.get("orderedAt"))
        found = self._matching_orders(value["referenceId"], ordered)
        if "orderRef" in value:
            found = [order for order in found if order.ref == value["orderRef"]]
        if not found:
            raise Refused(problems.ORDER_NOT_FOUND)
        if len(found) > 1:
            raise Refused(problems.SEVERAL_ORDERS)
        self._drop_order(found[0].ref)
        return "Order and associated entities deleted"

    def track(self, value: Value) -> None:
        """Keep a tracking event."""
        self._tracking.append(value)

    def held(self) -> Iterator[dict[str, Any]]:
        """Give all that is held, oldest first: guests, orders, tracking events."""
        for guest in list(self._guests.values()):
            yield {"kind": "guest", "ref": guest.ref, "orders": list(guest.orders), "value": guest.value}
        for order in list(self._orders.values()):
            yield {"kind": "order", "ref": order.ref, "guest": order.guest, "value": order.value}
        for event in list(self._tracking):
            yield {"kind": "tracking", "value": event}

    def _find_guests(self, value: Value) -> list[Guest]:
        refs: dict[str, None] = {}
        for name in names_of(value):
            refs |= self._by_name.get(name, {})
        return [self._guests[ref] for ref in refs]

    def _new_ref(self, kind: str) -> str:
        self._made += 1
        return str(uuid.uuid5(_SPACE, f"{kind}:{self._made}"))

    def _new_guest(self) -> Guest:
        guest = Guest(ref=self._new_ref("guest"), value={}, names=set())
        self._guests[guest.ref] = guest
        return guest

    def _rename(self, guest: Guest, names: set[tuple[str, str]]) -> None:
        for gone in guest.names - names:
            self._by_name[gone].pop(guest.ref)
        for fresh in names - guest.names:
            self._by_name.setdefault(fresh, {})[guest.ref] = None
        guest.names = names

    def _retire(self, guest: Guest) -> None:
        self._rename(guest, set())
        del self._guests[guest.ref]

    def _matching_orders(self, reference: str, ordered: float | None) -> list[Order]:
        orders = [self._orders[ref] for ref in self._by_reference.get(reference, {})]
        return [order for order in orders if ordered is None or abs(order.ordered - ordered) <= DAY]

    def _drop_order(self, ref: str) -> None:
        order = self._orders.pop(ref)
        self._by_reference[order.value["referenceId"]].pop(ref)
        # The ref is the caller's key too while it walks over the guest's orders; a gdpr delete drops the guest next.
        if order.guest in self._guests:
            self._guests[order.guest].orders = {r: None for r in self._guests[order.guest].orders if r != ref}

    def _types_in(
        self,
        entity: str,
        value: Value,
        beside: dict[tuple[str, str, str], type] | None = None,
    ) -> dict[tuple[str, str, str], type]:
        # The tenant's schema is what was first accepted: an attribute keeps its type (3.5, Validation error).
        known = self._types | beside if beside else self._types
        found = {
            (entity, group["name"], name): _type(inner)
            for group in value.get("extensions", [])
            for name, inner in group.items()
            if name not in {"name", "key"}
        }
        for place, kind in found.items():
            if known.get(place, kind) is not kind:
                raise Refused(problems.VALIDATION, f"extensions.{place[2]} has another type than before")
        return found


def _type(value: object) -> type:
    if isinstance(value, bool):
        return bool
    return str if isinstance(value, str) else float


def _has_session(guest: Guest) -> bool:
    return any(name.startswith("MOCK-OPEN-SESSION") for provider, name in guest.names if provider)


def _fail_if_reserved(value: Value) -> None:
    if any(name.startswith("MOCK-SERVER-ERROR") for provider, name in names_of(value) if provider):
        raise Refused(problems.SERVER)
