"""Request parameters and error responses of Sitecore's API (sitecore-cdp.md, 3.4 and 3.6)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response

from batchsync_mocks import datetimes, responses

if TYPE_CHECKING:
    from werkzeug.wrappers import Request


class Reference(BaseConverter):
    """URL converter for the reference of a batch: any segment except `inspect`."""

    regex = "(?!inspect$)[^/]+"


class ProblemError(Exception):
    """Error that ends a call with an HTTP status and a message; the cause is for the status page only."""

    def __init__(self, status: int, message: str, cause: str = "") -> None:
        """Set status, message and cause."""
        super().__init__(message)
        self.status, self.message = status, message
        self.problem = f"{message} ({cause})" if cause else message


def datetime_param(request: Request, name: str) -> float | None:
    """Return a date-time parameter of the query in epoch seconds; None if absent.

    Raises:
        ProblemError: If the value is not an ISO 8601 date-time with a zone.
    """
    text = request.args.get(name)
    epoch = datetimes.parse(text)
    if text is not None and epoch is None:
        raise ProblemError(400, f"{name} must be an ISO 8601 date-time")
    return epoch


def whole_number(request: Request, name: str, default: int) -> int:
    """Return a whole-number parameter of the query.

    Args:
        request: The request.
        name: Name of the parameter.
        default: Value if the parameter is absent.

    Raises:
        ProblemError: If the value is not a whole number of at most 9 digits.
    """
    text = request.args.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ProblemError(400, f"{name} must be a whole number")
    return int(text)


def platform_error(shape: str, status: int, message: str) -> Response:
    """Return an error response (3.6).

    Args:
        shape: Format of the body, a value of the switch `error_body`.
        status: HTTP status.
        message: Text of the error.
    """
    body: dict[str, Any] = {"status": status, "code": status, "message": message}
    if shape == "platform":
        return responses.json_response(body | {"developerMessage": message, "moreInfo": ""}, status)
    if shape == "more_info_url":
        details = {"status": str(status)} if status == HTTPStatus.UNAUTHORIZED else {"developerMessage": message}
        return responses.json_response(body | details | {"moreInfoUrl": ""}, status)
    page = f"<html><body><h1>{status}</h1></body></html>" if shape == "html" else ""
    return Response(page, status, content_type="text/html")
