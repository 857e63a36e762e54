"""Parsing of the request that creates a Motorweb batch, with the documented constraints (motorweb-bdp.md, 5)."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

from batchsync_mocks import datetimes

MAX_REFERENCE_LENGTH = 255
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


class BadRequestError(Exception):
    """Error for an invalid request; the text gives the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """Content of a create request.

    Attributes:
        service: UUID of the batch service.
        reference: The customer's own label, 1 to 255 characters.
        email: Address for status mails.
        scheduled: Requested start of processing, in epoch seconds.
    """

    service: str
    reference: str
    email: str | None
    scheduled: float | None


def parse_uuid(text: object) -> str | None:
    """Return a UUID in canonical form; None if the value is not a UUID."""
    return str(uuid.UUID(text)) if isinstance(text, str) and re.fullmatch(_UUID, text) else None


def read(body: dict[str, Any]) -> CreateRequest:
    """Return the content of a create request; unknown fields are ignored, null counts as absent.

    Raises:
        BadRequestError: If a required field is missing, or a field violates its constraint.
    """
    service = parse_uuid(body.get("batchServiceId"))
    if service is None:
        msg = "batchServiceId is required and must be a UUID"
        raise BadRequestError(msg)
    reference = body.get("userBatchReference")
    if not isinstance(reference, str) or not 1 <= len(reference) <= MAX_REFERENCE_LENGTH:
        msg = "userBatchReference is required and must have 1 to 255 characters"
        raise BadRequestError(msg)
    email = body.get("email")
    if email is not None and not (isinstance(email, str) and re.fullmatch(_EMAIL, email)):
        msg = "email must be an e-mail address"
        raise BadRequestError(msg)
    scheduled_text = body.get("scheduledDate")
    scheduled = datetimes.parse(scheduled_text)
    if scheduled_text is not None and scheduled is None:
        msg = "scheduledDate must be an ISO-8601 date-time with a zone"
        raise BadRequestError(msg)
    return CreateRequest(service=service, reference=reference, email=email, scheduled=scheduled)
