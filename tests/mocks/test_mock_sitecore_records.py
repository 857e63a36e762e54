"""Sitecore mock: validation of records as in sitecore-cdp.md, sections 4 to 8, and changes of its store."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from mock_clients import SITECORE, SitecoreClient, named, order, record

if TYPE_CHECKING:
    from batchsync_mocks import Running

VALIDATION = ("400", "Validation error")
UNSUPPORTED = ("402", "Unsupported mode")
NOT_FOUND = ("404", "Guest not found")


def verdict(sitecore: SitecoreClient, entry: dict[str, Any]) -> tuple[str, str] | None:
    log = sitecore.submit(entry)
    return (log[0]["code"], log[0]["message"]) if log else None


def stored(mocks: Running, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in mocks.store(SITECORE) if entry["kind"] == kind]


def numbers(mocks: Running) -> list[str]:
    return [guest["value"]["identifiers"][0]["id"] for guest in stored(mocks, "guest")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ref": "seven"}, VALIDATION),
        ({"ref": None}, VALIDATION),
        ({"schema": "product"}, VALIDATION),
        ({"schema": ["guest"]}, VALIDATION),
        ({"value": "text"}, VALIDATION),
        ({"mode": "replace"}, UNSUPPORTED),
        ({"mode": "insert"}, UNSUPPORTED),
        ({"mode": "merge"}, UNSUPPORTED),
        ({"mode": "guest"}, UNSUPPORTED),
        ({"mode": ["upsert"]}, UNSUPPORTED),
        ({"schema": "order", "mode": "gdpr_delete"}, UNSUPPORTED),
        ({"schema": "migration", "mode": "upsert"}, UNSUPPORTED),
        ({"schema": "tracking", "mode": "upsert"}, UNSUPPORTED),
    ],
)
def test_envelope_is_validated(sitecore: SitecoreClient, change: dict[str, Any], expected: tuple[str, str]) -> None:
    assert verdict(sitecore, record("guest", "upsert", email="a@example.com") | change) == expected


def test_complete_guest_with_unknown_and_null_attributes_is_accepted(sitecore: SitecoreClient, mocks: Running) -> None:
    value = {
        "guestType": "customer",
        "firstSeen": "2025-03-07T16:15:11.000Z",
        "title": "Dr",
        "gender": "female",
        "dateOfBirth": "1985-12-24T00:00Z",
        "email": "A@Example.com",
        "phoneNumbers": ["+353161123345"],
        "language": "EN",
        "passportExpiry": "2030-12-24T00:00Z",
        "street": ["Apartment 15"],
        "country": "IE",
        "identifiers": [{"provider": "CRM", "id": "7", "expiryDate": "2027-08-23T16:17:16.000Z"}],
        "extensions": [{"name": "ext", "key": "default", "loyal": True, "tier": "Gold", "points": 7}],
        "subscriptions": [{"name": "news", "channel": "EMAIL", "status": "SUBSCRIBED"}],
        "shoeSize": [1],
        "city": None,
    }
    assert verdict(sitecore, record("guest", "upsert", **value)) is None
    (guest,) = stored(mocks, "guest")
    assert "city" not in guest["value"]


@pytest.mark.parametrize(
    "change",
    [
        {"guestType": "visitor"},
        {"firstSeen": "7 March 2025"},
        {"lastSeen": "2025-03-07T16:15:11+02:00"},
        {"gender": "Female"},
        {"dateOfBirth": "1985-12-24T00:00:00.000Z"},
        {"dateOfBirth": "2026-03-02T00:00Z"},
        {"dateOfBirth": "1985-12-24"},
        {"email": "a@example"},
        {"email": "a b@example.com"},
        {"email": ["a@example.com"]},
        {"phoneNumbers": "+353"},
        {"language": "ENG"},
        {"passportExpiry": "2030-12-24T00:00:00Z"},
        {"street": "Main Street"},
        {"country": "Ireland"},
        {"firstName": 7},
        {"identifiers": {"provider": "CRM", "id": "7"}},
        {"identifiers": ["7"]},
        {"identifiers": [{"provider": "CRM"}]},
        {"identifiers": [{"provider": "CRM", "id": ""}]},
        {"identifiers": [{"provider": "CRM", "id": 7}]},
        {"extensions": {"name": "ext"}},
        {"extensions": [{"name": "loyalty", "key": "default"}]},
        {"extensions": [{"name": "ext6", "key": "default"}]},
        {"extensions": [{"name": "ext", "key": "mine"}]},
        {"extensions": [{"name": "ext", "key": "default", "a": [1]}]},
        {"extensions": [{"name": "ext", "key": "default", "a": {"b": 1}}]},
        {"extensions": [{"name": "ext", "key": "default", "shoe_size": 1}]},
        {"extensions": [{"name": "ext", "key": "default"}] * 2},
        {"extensions": [{"name": "ext", "key": "default", "a": 1}, {"name": "ext1", "key": "default", "a": 1}]},
        {"extensions": [{"name": "ext", "key": "default", **{f"a{n}": n for n in range(101)}}]},
        {"subscriptions": [{"status": "MAYBE"}]},
    ],
)
def test_guest_with_an_invalid_attribute_is_rejected(
    sitecore: SitecoreClient, mocks: Running, change: dict[str, Any]
) -> None:
    value = {"identifiers": named("7")} | change
    assert verdict(sitecore, record("guest", "upsert", **value)) == VALIDATION
    assert stored(mocks, "guest") == []
    assert mocks.ledger(SITECORE)[0]["detail"]


def test_hundred_extension_attributes_in_six_groups_are_accepted(sitecore: SitecoreClient) -> None:
    groups = [
        {"name": name, "key": "default", **{f"{name}A{n}": n for n in range(100)}}
        for name in ("ext", "ext1", "ext2", "ext3", "ext4", "ext5")
    ]
    assert verdict(sitecore, record("guest", "upsert", identifiers=named("7"), extensions=groups)) is None


def test_guest_without_identity_is_rejected(sitecore: SitecoreClient) -> None:
    nameless = record("guest", "upsert", firstName="Ann", lastName="Lee")
    assert verdict(sitecore, nameless) == ("400", "Not enough identifying information")
    assert verdict(sitecore, record("guest", "upsert", city="Dublin")) == ("400", "Identity information missing")
    deleting = record("guest", "delete", firstName="Ann", lastName="Lee")
    assert verdict(sitecore, deleting) == ("400", "Not Enough Identifying Info")


def test_extension_attribute_keeps_its_first_type(sitecore: SitecoreClient) -> None:
    def wearing(size: object, number: str) -> dict[str, Any]:
        extension = {"name": "ext", "key": "default", "shoeSize": size}
        return record("guest", "upsert", identifiers=named(number), extensions=[extension])

    assert verdict(sitecore, wearing(7, "1")) is None
    assert verdict(sitecore, wearing("7", "2")) == VALIDATION
    assert verdict(sitecore, wearing(size=True, number="2")) == VALIDATION
    assert verdict(sitecore, wearing(7.5, "2")) is None


def test_upsert_changes_only_sent_attributes(sitecore: SitecoreClient, mocks: Running) -> None:
    sitecore.submit(record("guest", "upsert", identifiers=named("7"), firstName="Ann", city="Cork"))
    sitecore.submit(record("guest", "upsert", identifiers=named("7"), city="Dublin", email="a@example.com"))
    sitecore.submit(record("guest", "upsert", email="A@example.com", lastName="Lee"))
    (guest,) = stored(mocks, "guest")
    assert [guest["value"][name] for name in ("firstName", "lastName", "city")] == ["Ann", "Lee", "Dublin"]


def test_delete_keeps_orders_and_gdpr_delete_removes_them(sitecore: SitecoreClient, mocks: Running) -> None:
    orders = [record("order", "insert", **order(f"order-{n}", customer=n)) for n in "12"]
    assert sitecore.submit(*orders) == []
    assert numbers(mocks) == ["1", "2"]
    assert sitecore.submit(record("guest", "delete", identifiers=named("1"))) == []
    assert [entry["guest"] is None for entry in stored(mocks, "order")] == [True, False]
    assert sitecore.submit(record("guest", "gdpr_delete", identifiers=named("2"))) == []
    assert [entry["value"]["referenceId"] for entry in stored(mocks, "order")] == ["order-1"]
    assert stored(mocks, "guest") == []
    assert verdict(sitecore, record("guest", "delete", identifiers=named("1"))) == NOT_FOUND
    assert verdict(sitecore, record("guest", "gdpr_delete", email="a@example.com")) == NOT_FOUND


def test_each_delete_removes_a_single_match(sitecore: SitecoreClient, mocks: Running) -> None:
    for number in "12":
        sitecore.submit(record("guest", "upsert", identifiers=named(number)))
    both = named("1") + named("2")
    assert sitecore.submit(record("guest", "delete", identifiers=both)) == []
    assert mocks.ledger(SITECORE)[-1]["message"] == "2 matches found for this guest, 1st match deleted"
    assert numbers(mocks) == ["2"]
    sitecore.submit(record("guest", "delete", identifiers=both))
    assert mocks.ledger(SITECORE)[-1]["message"] == "Guest and associated entities deleted"
    assert numbers(mocks) == []


def test_guest_with_an_open_session_is_not_deleted_or_migrated(sitecore: SitecoreClient, mocks: Running) -> None:
    busy = named("MOCK-OPEN-SESSION-1")
    sitecore.submit(
        record("guest", "upsert", identifiers=busy),
        record("guest", "upsert", identifiers=named("2")),
    )
    assert verdict(sitecore, record("guest", "delete", identifiers=busy)) == ("403", "Action not allowed")
    moving = record("migration", "guest", migrateFrom={"identifiers": busy}, migrateTo={"identifiers": named("2")})
    refused = verdict(sitecore, moving)
    assert refused is not None
    assert refused[1] == "Unable to migrate Guest with open session"
    assert len(stored(mocks, "guest")) == 2
    broken = record("guest", "upsert", identifiers=named("MOCK-SERVER-ERROR"))
    assert verdict(sitecore, broken) == ("500", "Internal server error")


def test_migration_moves_orders_and_removes_the_source(sitecore: SitecoreClient, mocks: Running) -> None:
    sitecore.submit(
        record("order", "insert", **order("old", customer="1")),
        record("guest", "upsert", identifiers=named("2"), firstName="Ann"),
    )
    moving = {"migrateFrom": {"identifiers": named("1")}, "migrateTo": {"identifiers": named("2")}}
    assert sitecore.submit(record("migration", "guest", **moving)) == []
    (guest,) = stored(mocks, "guest")
    (kept,) = stored(mocks, "order")
    assert guest["value"] == {"identifiers": named("2"), "firstName": "Ann"}
    assert (kept["guest"], guest["orders"]) == (guest["ref"], [kept["ref"]])
    assert verdict(sitecore, record("migration", "guest", **moving)) == NOT_FOUND


@pytest.mark.parametrize(
    "value",
    [
        {"migrateFrom": {"identifiers": named("1")}},
        {"migrateFrom": {"identifiers": named("1")}, "migrateTo": {"identifiers": []}},
        {"migrateFrom": {"identifiers": named("1")}, "migrateTo": {"identifiers": named("1")}},
        {"migrateFrom": {"identifiers": [{"provider": "CRM"}]}, "migrateTo": {"identifiers": named("2")}},
        {"migrateFrom": "1", "migrateTo": "2"},
    ],
)
def test_migration_to_the_same_guest_is_rejected(sitecore: SitecoreClient, value: dict[str, Any]) -> None:
    assert verdict(sitecore, record("migration", "guest", **value)) == VALIDATION


def item(**changed: Any) -> list[dict[str, Any]]:
    value = order()["orderItems"][0] | changed
    return [{name: content for name, content in value.items() if content is not None}]


@pytest.mark.parametrize(
    "change",
    [
        *(
            {name: None}
            for name in (
                "referenceId",
                "channel",
                "pointOfSale",
                "status",
                "orderedAt",
                "currencyCode",
                "price",
                "paymentType",
                "contact",
                "orderItems",
            )
        ),
        {"channel": "FAX"},
        {"status": "purchased"},
        {"orderedAt": "2025-03-07"},
        {"currencyCode": "euro"},
        {"price": "50"},
        {"price": True},
        {"paymentType": "Card"},
        {"contact": ["7"]},
        {"contact": {"identifiers": named("1"), "gender": "x"}},
        {"contact": {"identifiers": named("1"), "extensions": ["x"]}},
        {"orderItems": []},
        {"orderItems": ["x"]},
        *(
            {"orderItems": item(**{name: None})}
            for name in ("type", "productId", "name", "description", "vendor", "price", "currencyCode")
        ),
        {"orderItems": item(name="x" * 129)},
        {"orderItems": item(extensions=[{"name": "ext1", "key": "default"}])},
        {"orderItems": item(flightSegments=[{"id": "1"}])},
        {"extensions": [{"name": "ext", "key": "default", **{f"a{n}": n for n in range(51)}}]},
        {"consumers": [{"firstName": "Ann", "orderItems": [{"referenceId": "item-2"}]}]},
    ],
)
def test_order_with_missing_or_invalid_attribute_is_rejected(
    sitecore: SitecoreClient, mocks: Running, change: dict[str, Any]
) -> None:
    assert verdict(sitecore, record("order", "insert", **order(**change))) == VALIDATION
    assert mocks.store(SITECORE) == []


def test_order_without_contact_identity_is_rejected(sitecore: SitecoreClient) -> None:
    refused = verdict(sitecore, record("order", "insert", **order(contact={"firstName": "Ann"})))
    assert refused == ("400", "Not enough identifying information")


def test_complete_order_is_accepted(sitecore: SitecoreClient) -> None:
    segment = {
        "id": "1",
        "origin": "DUB",
        "destination": "LAS",
        "departureDateTime": "2025-08-23T16:17Z",
        "arrivalDateTime": "2025-08-23T19:17Z",
        "flightNumber": "EI101",
        "fareClass": "Economy",
        "carrier": "EI",
    }
    extension = [{"name": "ext", "key": "default", "gift": False}]
    value = order(
        paymentType="Card",
        cardType="Visa",
        extensions=extension,
        orderItems=item(price=-45.5, extensions=extension, flightSegments=[segment]),
        consumers=[{"firstName": "Ann", "orderItems": [{"referenceId": "item-1"}]}],
    )
    assert verdict(sitecore, record("order", "insert", **value)) is None


def test_order_upsert_may_omit_insert_only_attributes(sitecore: SitecoreClient, mocks: Running) -> None:
    sitecore.submit(record("order", "insert", **order()))
    slim = order(status="REFUNDED", currencyCode=None, price=None, paymentType=None, orderItems=[{"type": "FLIGHT"}])
    assert verdict(sitecore, record("order", "upsert", **slim)) is None
    (kept,) = stored(mocks, "order")
    assert (kept["value"]["status"], kept["value"]["price"]) == ("REFUNDED", 50)
    assert verdict(sitecore, record("order", "insert", **order(price=60))) is None
    (kept,) = stored(mocks, "order")
    assert (kept["value"]["status"], kept["value"]["price"]) == ("PURCHASED", 60)


def test_order_is_deleted_by_reference_date_and_ref(sitecore: SitecoreClient, mocks: Running) -> None:
    days = ("2025-03-01T00:00:00.000Z", "2025-03-02T06:00:00.000Z", "2025-03-09T00:00:00.000Z")
    sitecore.submit(*(record("order", "insert", **order(orderedAt=day)) for day in days))
    assert len(stored(mocks, "order")) == 3
    ambiguous = verdict(sitecore, record("order", "delete", referenceId="B94TXY-1"))
    assert ambiguous is not None
    assert ambiguous[0] == "400"
    assert ambiguous[1].startswith("More than one order exists with that referenceId, please supply the orderedAt date")
    between = {"referenceId": "B94TXY-1", "orderedAt": "2025-03-01T12:00:00.000Z"}
    assert verdict(sitecore, record("order", "delete", **between)) == ambiguous
    first = stored(mocks, "order")[0]["ref"]
    assert verdict(sitecore, record("order", "delete", **between, orderRef=first)) is None
    assert verdict(sitecore, record("order", "delete", **between)) is None
    assert verdict(sitecore, record("order", "delete", referenceId="B94TXY-1")) is None
    assert stored(mocks, "order") == []
    gone = verdict(sitecore, record("order", "delete", referenceId="B94TXY-1"))
    assert gone == ("404", "No order found for the provided referenceId and orderedAt attributes")
    assert verdict(sitecore, record("order", "delete", orderedAt=days[0])) == VALIDATION


def test_rejected_order_does_not_fix_attribute_types(sitecore: SitecoreClient) -> None:
    extension = [{"name": "ext", "key": "default", "gift": "yes"}]
    contact = {"identifiers": named("MOCK-SERVER-ERROR")}
    assert verdict(sitecore, record("order", "insert", **order(extensions=extension, contact=contact))) is not None
    mended = [{"name": "ext", "key": "default", "gift": True}]
    assert verdict(sitecore, record("order", "insert", **order(extensions=mended))) is None


def test_complete_tracking_event_is_accepted(sitecore: SitecoreClient, mocks: Running) -> None:
    event = {
        "serviceIdentifier": "TEST_PROVIDER",
        "occurredAt": "2015-03-07T14:15:00.000Z",
        "channel": "EMAIL",
        "type": "SENT",
        "uotr": f"{uuid.uuid4()}|0",
        "utms": {"utm_medium": "EMAIL"},
    }
    assert verdict(sitecore, record("tracking", "insert", **event)) is None
    assert verdict(sitecore, record("tracking", "insert", **event | {"occurredAt": "soon"})) == VALIDATION
    assert verdict(sitecore, record("tracking", "insert", **event | {"utms": "x"})) == VALIDATION
    assert len(stored(mocks, "tracking")) == 1


def test_hostile_values_are_validated_without_failure(sitecore: SitecoreClient) -> None:
    nasty = [
        record("guest", "upsert", identifiers=named("\ud800"), extensions=None),
        record("order", "insert", **order(price=10**400)),
        record("guest", "upsert", identifiers=named("1"), dateOfBirth="0000-00-00T00:00Z"),
        record("guest", "upsert", identifiers=named("1"), dateOfBirth="0001-01-01T00:00Z"),
        record("guest", "upsert", identifiers=named("1"), **{"": "", "\0": "\0"}),
    ]
    log = sitecore.submit(*nasty)
    assert [entry["ref"] for entry in log] == [nasty[2]["ref"]]


def test_consumer_with_name_only_becomes_a_single_traveller(mocks: Running, sitecore: SitecoreClient) -> None:
    contact = {"identifiers": named("1"), "firstName": "Ann", "lastName": "Lee"}
    people = [{"firstName": "Ann", "lastName": "Lee"}, {"firstName": "Bob", "lastName": "Lee"}, {"firstName": "Bob"}]
    people.append({"firstName": "Cy", "identifiers": named("2"), "orderItems": [{"referenceId": "item-1"}]})
    sent = record("order", "upsert", **order(contact=contact, consumers=people))
    assert sitecore.submit(sent) == []
    assert sitecore.submit(sent) == []
    guests = [entry["value"] for entry in mocks.store(SITECORE) if entry["kind"] == "guest"]
    travellers = [guest["firstName"] for guest in guests if guest.get("guestType") == "traveller"]
    assert (travellers, sorted(guest["firstName"] for guest in guests)) == (["Bob"], ["Ann", "Bob", "Cy"])
