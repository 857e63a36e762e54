"""What a guest record must look like (sitecore-cdp.md, section 5), and whom it names.

It does not know which guests there are.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING

from lading_mocks import moments
from lading_mocks.sitecore import checks
from lading_mocks.sitecore.problems import IDENTITY_MISSING, NOT_ENOUGH, NOT_ENOUGH_TO_DELETE, Refused

if TYPE_CHECKING:
    from lading_mocks.sitecore.checks import Value

GROUPS = ("ext", "ext1", "ext2", "ext3", "ext4", "ext5")
MOST_ATTRIBUTES = 100
_COUNTRY = checks.shaped("[A-Za-z]{2}", "two letters (ISO 3166-1 alpha-2)")
# Title, nationality and the like are open lists or recommended casings: any string will do.
PERSON: dict[str, checks.Check] = {
    "title": checks.text,
    "firstName": checks.text,
    "lastName": checks.text,
    "gender": checks.one_of("male", "female", "unknown"),
    "dateOfBirth": checks.whole_moment,
    "email": checks.email,
    "emails": checks.texts,
    "phoneNumbers": checks.texts,
    "nationality": checks.text,
    "passportNumber": checks.text,
    "passportExpiry": checks.minute,
    "street": checks.texts,
    "city": checks.text,
    "country": _COUNTRY,
    "postCode": checks.text,
    "state": checks.text,
}
GUEST: dict[str, checks.Check] = {
    "guestType": checks.one_of("customer"),
    "firstSeen": checks.moment,
    "lastSeen": checks.moment,
    "language": checks.shaped("[A-Za-z]{2}", "two letters (ISO 639)"),
}
# One walk through a guest for both tables; which of them is broken matters only when one is.
_EVERYTHING = {**GUEST, **PERSON}
_SUBSCRIPTION: dict[str, checks.Check] = {
    "name": checks.text,
    "channel": checks.text,
    "pointOfSale": checks.text,
    "status": checks.one_of("PENDING", "SUBSCRIBED", "UNSUBSCRIBED", "UNKNOWN"),
    "effectiveDate": checks.moment,
}
_IDENTIFIER = {"provider": checks.filled, "id": checks.filled, "expiryDate": checks.moment}
_FOR_IDENTIFIER = ("provider", "id")
_IDENTITY = ("identifiers", "email", "firstName", "lastName")


def check_guest(value: Value, now: float) -> None:
    """Check the value of a guest upsert.

    Raises:
        Refused: a broken attribute, or not enough identity data.
    """
    if checks.fit(value, _EVERYTHING):
        _check_rest_of_person(value, now)
    else:
        checks.known(value, GUEST)
        check_person(value, now)
    checks.extensions(value, groups=GROUPS, most=MOST_ATTRIBUTES)
    for subscription in checks.objects(value, "subscriptions"):
        checks.known(subscription, _SUBSCRIPTION, "subscriptions.")
    check_identity(value)


def check_person(value: Value, now: float, where: str = "") -> None:
    """Check what guests, contacts and consumers have in common; `now` in epoch seconds."""
    checks.known(value, PERSON, where)
    _check_rest_of_person(value, now, where)


def _check_rest_of_person(value: Value, now: float, where: str = "") -> None:
    if "dateOfBirth" in value:
        born = moments.parse(value["dateOfBirth"])
        checks.demand(born is None or born < now, f"{where}dateOfBirth", "must be in the past")
    check_identifiers(value, where)


def check_identifiers(value: Value, where: str = "") -> None:
    """Check `identifiers` (5.1); letter case is nobody's business."""
    place = f"{where}identifiers."
    for identifier in checks.objects(value, "identifiers", where):
        checks.present(identifier, _FOR_IDENTIFIER, place)
        checks.known(identifier, _IDENTIFIER, place)


def check_identity(value: Value) -> None:
    """Demand at least one identifier or an e-mail address (the default rule assumed in 5.1)."""
    if names_of(value):
        return
    nothing = not any(value.get(name) for name in _IDENTITY)
    raise Refused(IDENTITY_MISSING if nothing else NOT_ENOUGH, "needs one of identifiers or email")


def check_delete(value: Value) -> None:
    """Check the value of a guest delete (5.4)."""
    checks.known(value, PERSON)
    check_identifiers(value)
    if not names_of(value):
        raise Refused(NOT_ENOUGH_TO_DELETE, "needs one of identifiers or email")


def names_of(value: Value) -> list[tuple[str, str]]:
    """List what identifies the person, strongest first: (provider, id) pairs, then the e-mail address in lower case."""
    names = [(intern(one["provider"]), one["id"]) for one in value.get("identifiers", ())]
    if value.get("email"):
        # No provider can be empty, so an address never meets an identifier.
        names.append(("", value["email"].lower()))
    return names
