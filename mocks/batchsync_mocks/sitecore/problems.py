"""Codes and messages of Sitecore's error log (sitecore-cdp.md, 3.5). Comments mark assumptions."""

from __future__ import annotations

VALIDATION = ("400", "Validation error")
IDENTITY_MISSING = ("400", "Identity information missing")
NOT_ENOUGH = ("400", "Not enough identifying information")
NOT_ENOUGH_TO_DELETE = ("400", "Not Enough Identifying Info")
UNPARSABLE = ("400", "Failed to parse import line")
_SUPPLY = "please supply the orderedAt date for the order you wish to delete"
SEVERAL_ORDERS = ("400", f"More than one order exists with that referenceId, {_SUPPLY}")
UNSUPPORTED_MODE = ("402", "Unsupported mode")
NOT_ALLOWED = ("403", "Action not allowed")
GUEST_NOT_FOUND = ("404", "Guest not found")
ORDER_NOT_FOUND = ("404", "No order found for the provided referenceId and orderedAt attributes")
# The message is documented, its code is not.
OPEN_SESSION = ("403", "Unable to migrate Guest with open session")
# The documented table has these rows, without their codes and messages.
IDENTITY_TAKEN = ("409", "Identity already exists")
SERVER = ("500", "Internal server error")


class RecordRejectedError(Exception):
    """Rejection of a record: code and message of the error log, and a detail for the ledger."""

    def __init__(self, problem: tuple[str, str], detail: str = "") -> None:
        """Set code, message and detail."""
        super().__init__(problem[1])
        self.code, self.message = problem
        self.detail = detail
