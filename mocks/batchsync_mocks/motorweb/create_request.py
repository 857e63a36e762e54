"""Read what a customer asks for when creating a batch, as strictly as Motorweb's page lists it (motorweb-bdp.md, 5).

It does not know which batches exist.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

from lading_mocks import moments

REFERENCE_LONGEST = 255
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


class BadRequest(Exception):  # noqa: N818 - the name of the HTTP status
    """The request is not acceptable; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for; `scheduled` in epoch seconds."""

    service: str
    reference: str
    email: str | None
    scheduled: float | None


def identifier(text: object) -> str | None:
    """Give a UUID in its usual spelling; None when it is not one."""
    return str(uuid.UUID(text)) if isinstance(text, str) and re.fullmatch(_UUID, text) else None


def read(body: dict[str, Any]) -> Order:
    """Read the body of the create call; unknown fields are passed over, null counts as absent.

    Raises:
        BadRequest: a required field is missing, or a field breaks its constraint.
    """
    service = identifier(body.get("batchServiceId"))
    if service is None:
        msg = "batchServiceId is required and must be a UUID"
        raise BadRequest(msg)
    reference = body.get("userBatchReference")
    if not isinstance(reference, str) or not 1 <= len(reference) <= REFERENCE_LONGEST:
        msg = "userBatchReference is required and must have 1 to 255 characters"
        raise BadRequest(msg)
    email = body.get("email")
    if email is not None and not (isinstance(email, str) and re.fullmatch(_EMAIL, email)):
        msg = "email must be an e-mail address"
        raise BadRequest(msg)
    wanted = body.get("scheduledDate")
    scheduled = moments.parse(wanted)
    if wanted is not None and scheduled is None:
        msg = "scheduledDate must be an ISO-8601 date-time with a zone"
        raise BadRequest(msg)
    return Order(service=service, reference=reference, email=email, scheduled=scheduled)
