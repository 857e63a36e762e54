"""Error responses of Motorweb's service. No page shows one, so each format is assumed or invented (8.2, 12.9)."""

from __future__ import annotations

from http import HTTPStatus

from werkzeug.wrappers import Response

from batchsync_mocks import responses, signing


def error(shape: str, status: int, message: str) -> Response:
    """Return an error response.

    Args:
        shape: Format of the body, a value of the switch `error_body`.
        status: HTTP status.
        message: Text of the error.
    """
    reason = HTTPStatus(status).phrase
    bodies: dict[str, object] = {
        "service": {"status": status, "error": reason, "message": message},
        "fault": {"fault": {"faultstring": message, "detail": {"errorcode": f"mock.{status}"}}},
        "apigee": {"ErrorCode": reason.lower().replace(" ", "_"), "Error": message},
    }
    if shape in bodies:
        return responses.explained(responses.json_response(bodies[shape], status), message)
    page = f"<html><body><h1>{status} {reason}</h1></body></html>" if shape == "html" else ""
    return responses.explained(Response(page, status, content_type="text/html"), message)


def no_such_key() -> Response:
    """Return the response of storage to an unknown object."""
    message = "The specified key does not exist."
    return responses.storage_error(signing.Refusal(status=404, code="NoSuchKey", message=message))
