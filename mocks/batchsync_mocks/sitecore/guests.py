"""Validation of guest records (sitecore-cdp.md, section 5), and the identities in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync_mocks import datetimes
from batchsync_mocks.sitecore import checks
from batchsync_mocks.sitecore.problems import IDENTITY_MISSING, NOT_ENOUGH, NOT_ENOUGH_TO_DELETE, RecordRejectedError
from batchsync_mocks.sitecore.tenant import DEFAULT

if TYPE_CHECKING:
    from batchsync_mocks.sitecore.checks import Value
    from batchsync_mocks.sitecore.tenant import Tenant

GROUPS = ("ext", "ext1", "ext2", "ext3", "ext4", "ext5")
MAX_ATTRIBUTES = 100
_COUNTRY = checks.matching("[A-Za-z]{2}", "two letters (ISO 3166-1 alpha-2)")
# Title, nationality and similar lists are open or only recommended, so any string is valid.
PERSON: dict[str, checks.Check] = {
    "title": checks.string,
    "firstName": checks.string,
    "lastName": checks.string,
    "gender": checks.one_of("male", "female", "unknown"),
    "dateOfBirth": checks.whole_second_datetime,
    "email": checks.email,
    "emails": checks.string_list,
    "phone": checks.string,
    "phoneNumbers": checks.string_list,
    "language": checks.matching("[A-Za-z]{2}", "two letters (ISO 639)"),
    "nationality": checks.string,
    "passportNumber": checks.string,
    "passportExpiry": checks.minute_datetime,
    "street": checks.string_list,
    "city": checks.string,
    "country": _COUNTRY,
    "postCode": checks.string,
    "state": checks.string,
}
GUEST: dict[str, checks.Check] = {
    "guestType": checks.one_of("customer"),
    "firstSeen": checks.utc_datetime,
    "lastSeen": checks.utc_datetime,
}
# Both tables in one pass; which of them is violated matters only for the message.
_ALL_CHECKS = {**GUEST, **PERSON}
_SUBSCRIPTION: dict[str, checks.Check] = {
    "name": checks.string,
    "channel": checks.string,
    "pointOfSale": checks.string,
    "status": checks.one_of("PENDING", "SUBSCRIBED", "UNSUBSCRIBED", "UNKNOWN"),
    "effectiveDate": checks.utc_datetime,
}
_IDENTIFIER = {"provider": checks.non_empty, "id": checks.non_empty, "expiryDate": checks.utc_datetime}
_REQUIRED_FOR_IDENTIFIER = ("provider", "id")
_IDENTITY = ("identifiers", "email", "firstName", "lastName")


def check_guest(value: Value, now: float, tenant: Tenant = DEFAULT) -> None:
    """Check the value of a guest upsert.

    Args:
        value: The value of the record.
        now: Epoch seconds.
        tenant: Rules of the tenant.

    Raises:
        RecordRejectedError: If an attribute is invalid, or identity data is missing.
    """
    if checks.all_valid(value, _ALL_CHECKS):
        _check_rest_of_person(value, now)
    else:
        checks.check_attributes(value, GUEST)
        check_person(value, now)
    groups = () if tenant.free_extensions else GROUPS
    checks.check_extensions(value, groups=groups, max_attributes=MAX_ATTRIBUTES)
    tenant.check_attributes("guest", value)
    for subscription in checks.object_list(value, "subscriptions"):
        checks.check_attributes(subscription, _SUBSCRIPTION, "subscriptions.")
    check_identity(value, tenant)


def check_person(value: Value, now: float, path: str = "") -> None:
    """Check the attributes that guests, contacts and consumers share.

    Args:
        value: The object.
        now: Epoch seconds.
        path: Prefix of attribute paths in messages.
    """
    checks.check_attributes(value, PERSON, path)
    _check_rest_of_person(value, now, path)


def _check_rest_of_person(value: Value, now: float, path: str = "") -> None:
    """Check the attributes that the table of checks does not cover."""
    if "dateOfBirth" in value:
        born = datetimes.parse(value["dateOfBirth"])
        checks.require(born is None or born < now, f"{path}dateOfBirth", "must be in the past")
    check_identifiers(value, path)


def check_identifiers(value: Value, path: str = "") -> None:
    """Check `identifiers` (5.1); case is not checked."""
    prefix = f"{path}identifiers."
    for identifier in checks.object_list(value, "identifiers", path):
        checks.require_attributes(identifier, _REQUIRED_FOR_IDENTIFIER, prefix)
        checks.check_attributes(identifier, _IDENTIFIER, prefix)


def check_identity(value: Value, tenant: Tenant) -> None:
    """Check that a value identifies a guest by the rules of the tenant.

    Raises:
        RecordRejectedError: If there is neither.
    """
    if tenant.identities_of(value):
        return
    no_identity = not any(value.get(name) for name in _IDENTITY)
    raise RecordRejectedError(IDENTITY_MISSING if no_identity else NOT_ENOUGH, f"needs {tenant.needed}")


def check_delete(value: Value, tenant: Tenant = DEFAULT) -> None:
    """Check the value of a guest delete (5.4).

    Args:
        value: The value of the record.
        tenant: Rules of the tenant.

    Raises:
        RecordRejectedError: If an attribute is invalid, or nothing identifies a guest.
    """
    checks.check_attributes(value, PERSON)
    check_identifiers(value)
    if not tenant.identities_of(value):
        raise RecordRejectedError(NOT_ENOUGH_TO_DELETE, f"needs {tenant.needed}")
