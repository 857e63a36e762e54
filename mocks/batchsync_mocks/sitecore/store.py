"""Store of a tenant: guests, orders and tracking events, and the changes that records make to them.

Expects validated records; rejects those that conflict with stored objects. Replacement rules follow sitecore-cdp.md,
4.2, 5.4, 6.2, 6.6 and 7. The contact of an order is upserted like a guest (assumed). Not modelled: duplicates made by
two records of a guest in one file (here the second finds the first), and limits on retention.

Reserved values of this mock: a guest with an identifier whose id starts with `MOCK-OPEN-SESSION` has an open session
(delete: 403 `Action not allowed`; migration: `Unable to migrate Guest with open session`), and one whose id starts with
`MOCK-SERVER-ERROR` fails inside Sitecore (500).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchsync_mocks import datetimes
from batchsync_mocks.sitecore import problems
from batchsync_mocks.sitecore.identity_index import IdentityIndex
from batchsync_mocks.sitecore.problems import RecordRejectedError
from batchsync_mocks.sitecore.tenant import DEFAULT, tenant_of
from batchsync_mocks.sitecore.value_store import ValueStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from batchsync_mocks.sitecore.checks import Value
    from batchsync_mocks.sitecore.identity_index import Identity
    from batchsync_mocks.sitecore.switches import SitecoreSwitches
    from batchsync_mocks.sitecore.tenant import Tenant

DAY = 86_400
_SPACE = uuid.UUID("6e7a4b0e-54b6-5d0c-9d7e-2b1f3c4d5e6f")


@dataclass(slots=True, kw_only=True)
class Guest:
    """A stored guest.

    Attributes:
        number: Number of the guest, from which its ref derives.
        value_at: Position of its value in the value store.
        identities: Its identities.
        orders: Refs of its orders; None if it has none.
    """

    number: int
    value_at: int
    identities: tuple[Identity, ...] = ()
    orders: dict[str, None] | None = None


@dataclass(slots=True, kw_only=True)
class Order:
    """A stored order.

    Attributes:
        ref: The vendor's own reference.
        value: Value of the record.
        ordered: Time of the order, in epoch seconds.
        guest: Number of its contact; None after that guest was deleted.
        travellers: First and last names of consumers stored as guests of type traveller.
    """

    ref: str
    value: Value
    ordered: float
    guest: int | None
    travellers: set[tuple[str, str]] = field(default_factory=set)


class Store:
    """Guests, orders and tracking events of a tenant."""

    def __init__(self) -> None:
        """Create an empty store, of a tenant with the default rules."""
        self.tenant = DEFAULT
        self._switches: SitecoreSwitches | None = None
        self._last_number = 0
        self._guests: dict[int, Guest] = {}
        self._values = ValueStore()
        self._identities = IdentityIndex()
        self._orders: dict[str, Order] = {}
        self._by_reference: dict[str, dict[str, None]] = {}
        self._tracking: list[Value] = []
        self._types: dict[tuple[str, str, str], type] = {}

    def for_tenant(self, switches: SitecoreSwitches) -> Tenant:
        """Set the rules of the tenant that switches select.

        Returns:
            The rules.
        """
        # Called for every record; the switches are the same object for all of a file.
        if switches is not self._switches:
            self.tenant, self._switches = tenant_of(switches), switches
        return self.tenant

    def upsert_guest(self, value: Value, *, new_only: bool = False) -> int:
        """Create a guest or, unless `new_only`, update the fields sent.

        Returns:
            The number of the guest.

        Raises:
            RecordRejectedError: If `new_only` and the identity exists, an extension attribute changes its type, or an
                identity is reserved.
        """
        identities = self.tenant.identities_of(value)
        _fail_if_reserved(identities)
        found = self._identities.find(identities)
        if new_only and found:
            raise RecordRejectedError(problems.IDENTITY_TAKEN)
        self._types |= self._new_attribute_types("guest", value)
        if not found:
            return self._new_guest(value, identities).number
        guest = self._guests[found[0]]
        before = self._values.get(guest.value_at)
        merged = before | value
        if "identifiers" in before and "identifiers" in value:
            kept = {(item["provider"], item["id"]): item for item in before["identifiers"]}
            kept |= {(item["provider"], item["id"]): item for item in value["identifiers"]}
            merged["identifiers"] = list(kept.values())
        guest.value_at = self._values.put(merged)
        self._set_identities(guest, self.tenant.identities_of(merged))
        return guest.number

    def delete_guest(self, value: Value, *, gdpr: bool) -> str:
        """Delete the first matching guest; with `gdpr` its orders, too.

        Returns:
            The message of the older documents.

        Raises:
            RecordRejectedError: If no guest matches, or the guest has an open session.
        """
        found = self._find_guests(value)
        if not found:
            raise RecordRejectedError(problems.GUEST_NOT_FOUND)
        guest = found[0]
        if _has_session(guest):
            raise RecordRejectedError(problems.NOT_ALLOWED, "the guest has an active session")
        for ref in list(guest.orders or ()):
            if gdpr:
                self._drop_order(ref)
            else:
                self._orders[ref].guest = None
        self._remove_guest(guest)
        if len(found) > 1:
            return f"{len(found)} matches found for this guest, 1st match deleted"
        return "Guest and associated entities deleted"

    def migrate(self, source: Value, target: Value) -> None:
        """Move the orders of a guest to another and remove the first; no profile attribute changes.

        Raises:
            RecordRejectedError: If a guest is not found or has an open session, or both are the same.
        """
        sources, targets = self._find_guests(source), self._find_guests(target)
        if not sources or not targets:
            raise RecordRejectedError(problems.GUEST_NOT_FOUND, "migrateTo" if sources else "migrateFrom")
        old, new = sources[0], targets[0]
        if _has_session(old) or _has_session(new):
            raise RecordRejectedError(problems.OPEN_SESSION)
        if old is new:
            raise RecordRejectedError(problems.VALIDATION, "migrateFrom and migrateTo are the same guest")
        for ref in old.orders or ():
            self._orders[ref].guest = new.number
        new.orders = (new.orders or {}) | (old.orders or {})
        self._remove_guest(old)

    def put_order(self, value: Value, *, insert: bool) -> None:
        """Create an order, or replace (insert) or update (upsert) the order of that reference within 24 hours."""
        _fail_if_reserved(self.tenant.identities_of(value["contact"]))
        found: dict[tuple[str, str, str], type] = {}
        for entity, extended in (("order", value), *(("item", item) for item in value["orderItems"])):
            found |= self._new_attribute_types(entity, extended, found)
        # Only the contact can be rejected from here on, and nothing has changed yet.
        contact = self.upsert_guest(value["contact"])
        self._types |= found
        ordered = datetimes.parse(value["orderedAt"]) or 0.0
        existing = self._matching_orders(value["referenceId"], ordered)
        if existing:
            order = existing[0]
            self._unlink(order)
            order.value = value if insert else order.value | value
            order.ordered, order.guest = ordered, contact
        else:
            order = Order(ref=_ref("order", self._new_number()), value=value, ordered=ordered, guest=contact)
            self._orders[order.ref] = order
            self._by_reference.setdefault(value["referenceId"], {})[order.ref] = None
        contact_guest = self._guests[contact]
        contact_guest.orders = (contact_guest.orders or {}) | {order.ref: None}
        for consumer in value.get("consumers", []):
            self._add_consumer(consumer, order)

    def _add_consumer(self, consumer: Value, order: Order) -> None:
        """Upsert or create the guest of a consumer."""
        # A consumer with only first and last name becomes a guest of type traveller, unless the name is that of the
        # contact (6.2). A consumer with an identity is upserted like a contact (assumed).
        name = (str(consumer.get("firstName", "")), str(consumer.get("lastName", "")))
        person = {attribute: content for attribute, content in consumer.items() if attribute != "orderItems"}
        contact = order.value["contact"]
        if self.tenant.identities_of(consumer):
            self.upsert_guest(person)
        elif all(name) and name != (contact.get("firstName"), contact.get("lastName")) and name not in order.travellers:
            self._new_guest(person | {"guestType": "traveller"}, ())
            order.travellers.add(name)

    def delete_order(self, value: Value) -> str:
        """Delete an order and its items.

        Returns:
            The documented message.

        Raises:
            RecordRejectedError: If no order matches, or more than one.
        """
        ordered = datetimes.parse(value.get("orderedAt"))
        found = self._matching_orders(value["referenceId"], ordered)
        if "orderRef" in value:
            found = [order for order in found if order.ref == value["orderRef"]]
        if not found:
            raise RecordRejectedError(problems.ORDER_NOT_FOUND)
        if len(found) > 1:
            raise RecordRejectedError(problems.SEVERAL_ORDERS)
        self._drop_order(found[0].ref)
        return "Order and associated entities deleted"

    def track(self, value: Value) -> None:
        """Store a tracking event."""
        self._tracking.append(value)

    def objects(self) -> Iterator[dict[str, Any]]:
        """Yield all stored objects, oldest first: guests, orders, tracking events."""
        for guest in list(self._guests.values()):
            value, ref = self._values.get(guest.value_at), _ref("guest", guest.number)
            yield {"kind": "guest", "ref": ref, "orders": list(guest.orders or ()), "value": value}
        for order in list(self._orders.values()):
            guest_ref = None if order.guest is None else _ref("guest", order.guest)
            yield {"kind": "order", "ref": order.ref, "guest": guest_ref, "value": order.value}
        for event in list(self._tracking):
            yield {"kind": "tracking", "value": event}

    def _find_guests(self, value: Value) -> list[Guest]:
        """Return the guests that match the identities in a value."""
        return [self._guests[number] for number in self._identities.find(self.tenant.identities_of(value))]

    def _new_number(self) -> int:
        """Return the next number of an object."""
        self._last_number += 1
        return self._last_number

    def _new_guest(self, value: Value, identities: Sequence[Identity]) -> Guest:
        """Create a guest."""
        guest = Guest(number=self._new_number(), value_at=self._values.put(value))
        self._guests[guest.number] = guest
        self._set_identities(guest, identities)
        return guest

    def _set_identities(self, guest: Guest, identities: Sequence[Identity]) -> None:
        """Set the identities of a guest, and update the index."""
        for identity in guest.identities:
            if identity not in identities:
                self._identities.remove(identity, guest.number)
        kept = tuple(dict.fromkeys(identities))
        for identity in kept:
            if identity not in guest.identities:
                self._identities.add(identity, guest.number)
        guest.identities = kept

    def _remove_guest(self, guest: Guest) -> None:
        """Remove a guest and its identities."""
        self._set_identities(guest, ())
        del self._guests[guest.number]

    def _unlink(self, order: Order) -> None:
        """Remove an order from its contact."""
        contact_guest = None if order.guest is None else self._guests.get(order.guest)
        if contact_guest is not None and contact_guest.orders is not None:
            contact_guest.orders.pop(order.ref, None)

    def _matching_orders(self, reference: str, ordered: float | None) -> list[Order]:
        """Return the orders of a reference within 24 hours of a time; None matches any time (6.6)."""
        orders = [self._orders[ref] for ref in self._by_reference.get(reference, {})]
        return [order for order in orders if ordered is None or abs(order.ordered - ordered) <= DAY]

    def _drop_order(self, ref: str) -> None:
        """Remove an order."""
        order = self._orders.pop(ref)
        self._by_reference[order.value["referenceId"]].pop(ref)
        self._unlink(order)

    def _new_attribute_types(
        self,
        entity: str,
        value: Value,
        additional: dict[tuple[str, str, str], type] | None = None,
    ) -> dict[tuple[str, str, str], type]:
        """Return the types of new extension attributes; raise if a known attribute has another type."""
        # An extension attribute keeps the type with which it was first accepted (3.5, Validation error).
        known = self._types | additional if additional else self._types
        found = {}
        for group in value.get("extensions", ()):
            group_name = group["name"]
            for name, inner in group.items():
                if name in {"name", "key"}:
                    continue
                attribute, kind = (entity, group_name, name), _type(inner)
                known_kind = known.get(attribute)
                if known_kind not in {None, kind}:
                    raise RecordRejectedError(problems.VALIDATION, f"extensions.{name} has another type than before")
                if known_kind is None:
                    found[attribute] = kind
        return found


def _type(value: object) -> type:
    """Return the type of an extension attribute: boolean, string or number."""
    if isinstance(value, bool):
        return bool
    return str if isinstance(value, str) else float


def _has_session(guest: Guest) -> bool:
    """Return whether a guest has the reserved identifier of an open session."""
    return any(name.startswith("MOCK-OPEN-SESSION") for provider, name in guest.identities if provider)


def _ref(kind: str, number: int) -> str:
    """Return the vendor's own reference of an object."""
    # Computed on use, because most refs are never read.
    return str(uuid.uuid5(_SPACE, f"{kind}:{number}"))


def _fail_if_reserved(identities: Iterable[Identity]) -> None:
    """Raise if an identifier is reserved for a server error."""
    if any(name.startswith("MOCK-SERVER-ERROR") for provider, name in identities if provider):
        raise RecordRejectedError(problems.SERVER)
