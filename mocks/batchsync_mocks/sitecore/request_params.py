"""How Sitecore's API reads what a call asks, and how it spells that it will not do it (sitecore-cdp.md, 3.4 and 3.6).

It does not know batches.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response

from lading_mocks import answers, moments

if TYPE_CHECKING:
    from werkzeug.wrappers import Request


class Reference(BaseConverter):
    """What stands in the path where a batch's reference does: anything but the word of the other endpoints."""

    regex = "(?!inspect$)[^/]+"


class ProblemError(Exception):
    """The API does not do what was asked: an HTTP status and a message."""

    def __init__(self, status: int, message: str) -> None:
        """Take both."""
        super().__init__(message)
        self.status, self.message = status, message


def bound(request: Request, name: str) -> float | None:
    """Read a moment from the query; None when it is not there."""
    said = request.args.get(name)
    moment = moments.parse(said)
    if said is not None and moment is None:
        raise ProblemError(400, f"{name} must be an ISO 8601 date-time")
    return moment


def whole(request: Request, name: str, default: int) -> int:
    """Read a whole number from the query."""
    said = request.args.get(name)
    if said is None:
        return default
    if not re.fullmatch(r"\d{1,9}", said, re.ASCII):
        raise ProblemError(400, f"{name} must be a whole number")
    return int(said)


def platform_error(shape: str, status: int, message: str) -> Response:
    """Answer with an error in one of the shapes of the switch `error_body` (3.6)."""
    body: dict[str, Any] = {"status": status, "code": status, "message": message}
    if shape == "platform":
        return answers.as_json(body | {"developerMessage": message, "moreInfo": ""}, status)
    if shape == "more_info_url":
        told = {"status": str(status)} if status == HTTPStatus.UNAUTHORIZED else {"developerMessage": message}
        return answers.as_json(body | told | {"moreInfoUrl": ""}, status)
    page = f"<html><body><h1>{status}</h1></body></html>" if shape == "html" else ""
    return Response(page, status, content_type="text/html")
