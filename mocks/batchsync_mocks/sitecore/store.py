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
from lading_mocks.sitecore.names import Names
from lading_mocks.sitecore.problems import Refused
from lading_mocks.sitecore.values import Values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lading_mocks.sitecore.checks import Value
    from lading_mocks.sitecore.names import Name

DAY = 86_400
_SPACE = uuid.UUID("6e7a4b0e-54b6-5d0c-9d7e-2b1f3c4d5e6f")


@dataclass(slots=True, kw_only=True)
class Guest:
    """One guest as held: where its value lies, what it can be found by, and the refs of its orders, if it has any."""

    number: int
    at: int
    names: tuple[Name, ...] = ()
    orders: dict[str, None] | None = None


@dataclass(slots=True, kw_only=True)
class Order:
    """One order as held; `ordered` in epoch seconds, `guest` the number of its contact while that guest exists."""

    ref: str
    value: Value
    ordered: float
    guest: int | None
    travellers: set[tuple[str, str]] = field(default_factory=set)


class Store:
    """Everything one tenant holds."""

    def __init__(self) -> None:
        """Start empty."""
        self._made = 0
        self._guests: dict[int, Guest] = {}
        self._values = Values()
        self._names = Names()
        self._orders: dict[str, Order] = {}
        self._by_reference: dict[str, dict[str, None]] = {}
        self._tracking: list[Value] = []
        self._types: dict[tuple[str, str, str], type] = {}

    def upsert_guest(self, value: Value, *, new_only: bool = False) -> int:
        """Create a guest or, unless `new_only`, update the fields sent; gives its number."""
        names = names_of(value)
        _fail_if_reserved(names)
        found = self._names.find(names)
        if new_only and found:
            raise Refused(problems.IDENTITY_TAKEN)
        self._types |= self._types_in("guest", value)
        if not found:
            return self._new_guest(value, names).number
        guest = self._guests[found[0]]
        before = self._values.get(guest.at)
        merged = before | value
        if "identifiers" in before and "identifiers" in value:
            kept = {(one["provider"], one["id"]): one for one in before["identifiers"]}
            kept |= {(one["provider"], one["id"]): one for one in value["identifiers"]}
            merged["identifiers"] = list(kept.values())
        guest.at = self._values.put(merged)
        self._rename(guest, names_of(merged))
        return guest.number

    def delete_guest(self, value: Value, *, gdpr: bool) -> str:
        """Delete the first guest that matches; with `gdpr` its orders too. Gives the 200 text of the old documents."""
        found = self._find_guests(value)
        if not found:
            raise Refused(problems.GUEST_NOT_FOUND)
        guest = found[0]
        if _has_session(guest):
            raise Refused(problems.NOT_ALLOWED, "the guest has an active session")
        for ref in list(guest.orders or ()):
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
        for ref in old.orders or ():
            self._orders[ref].guest = new.number
        new.orders = (new.orders or {}) | (old.orders or {})
        self._retire(old)

    def put_order(self, value: Value, *, insert: bool) -> None:
        """Create an order, or replace (insert) or update (upsert) the one of that reference within 24 hours."""
        _fail_if_reserved(names_of(value["contact"]))
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
            self._unlink(order)
            order.value = value if insert else order.value | value
            order.ordered, order.guest = ordered, contact
        else:
            order = Order(ref=_ref("order", self._new_number()), value=value, ordered=ordered, guest=contact)
            self._orders[order.ref] = order
            self._by_reference.setdefault(value["referenceId"], {})[order.ref] = None
        holder = self._guests[contact]
        holder.orders = (holder.orders or {}) | {order.ref: None}
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
            self._new_guest(person | {"guestType": "traveller"}, ())
            order.travellers.add(name)

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
            value, ref = self._values.get(guest.at), _ref("guest", guest.number)
            yield {"kind": "guest", "ref": ref, "orders": list(guest.orders or ()), "value": value}
        for order in list(self._orders.values()):
            guest_ref = None if order.guest is None else _ref("guest", order.guest)
            yield {"kind": "order", "ref": order.ref, "guest": guest_ref, "value": order.value}
        for event in list(self._tracking):
            yield {"kind": "tracking", "value": event}

    def _find_guests(self, value: Value) -> list[Guest]:
        return [self._guests[number] for number in self._names.find(names_of(value))]

    def _new_number(self) -> int:
        self._made += 1
        return self._made

    def _new_guest(self, value: Value, names: Sequence[Name]) -> Guest:
        guest = Guest(number=self._new_number(), at=self._values.put(value))
        self._guests[guest.number] = guest
        self._rename(guest, names)
        return guest

    def _rename(self, guest: Guest, names: Sequence[Name]) -> None:
        for gone in guest.names:
            if gone not in names:
                self._names.remove(gone, guest.number)
        kept = tuple(dict.fromkeys(names))
        for fresh in kept:
            if fresh not in guest.names:
                self._names.add(fresh, guest.number)
        guest.names = kept

    def _retire(self, guest: Guest) -> None:
        self._rename(guest, ())
        del self._guests[guest.number]

    def _unlink(self, order: Order) -> None:
        holder = None if order.guest is None else self._guests.get(order.guest)
        if holder is not None and holder.orders is not None:
            holder.orders.pop(order.ref, None)

    def _matching_orders(self, reference: str, ordered: float | None) -> list[Order]:
        orders = [self._orders[ref] for ref in self._by_reference.get(reference, {})]
        return [order for order in orders if ordered is None or abs(order.ordered - ordered) <= DAY]

    def _drop_order(self, ref: str) -> None:
        order = self._orders.pop(ref)
        self._by_reference[order.value["referenceId"]].pop(ref)
        self._unlink(order)

    def _types_in(
        self,
        entity: str,
        value: Value,
        beside: dict[tuple[str, str, str], type] | None = None,
    ) -> dict[tuple[str, str, str], type]:
        # The tenant's schema is what was first accepted: an attribute keeps its type (3.5, Validation error).
        known = self._types | beside if beside else self._types
        found = {}
        for group in value.get("extensions", ()):
            where = group["name"]
            for name, inner in group.items():
                if name in {"name", "key"}:
                    continue
                place, kind = (entity, where, name), _type(inner)
                held = known.get(place)
                if held not in {None, kind}:
                    raise Refused(problems.VALIDATION, f"extensions.{name} has another type than before")
                if held is None:
                    found[place] = kind
        return found


def _type(value: object) -> type:
    if isinstance(value, bool):
        return bool
    return str if isinstance(value, str) else float


def _has_session(guest: Guest) -> bool:
    return any(name.startswith("MOCK-OPEN-SESSION") for provider, name in guest.names if provider)


def _ref(kind: str, number: int) -> str:
    # Worked out when somebody looks: most are never looked at.
    return str(uuid.uuid5(_SPACE, f"{kind}:{number}"))


def _fail_if_reserved(names: Iterable[Name]) -> None:
    if any(name.startswith("MOCK-SERVER-ERROR") for provider, name in names if provider):
        raise Refused(problems.SERVER)
