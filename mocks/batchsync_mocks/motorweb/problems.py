"""Error bodies of Motorweb's service. No page shows one, so each shape here is assumed or invented (8.2, 12.9).

It does not know what went wrong.
"""

from __future__ import annotations

from http import HTTPStatus

from werkzeug.wrappers import Response

from lading_mocks import answers, signing


def error(shape: str, status: int, message: str) -> Response:
    """Answer with an error in one of the shapes of the switch `error_body`."""
    reason = HTTPStatus(status).phrase
    bodies: dict[str, object] = {
        "service": {"status": status, "error": reason, "message": message},
        "fault": {"fault": {"faultstring": message, "detail": {"errorcode": f"mock.{status}"}}},
        "apigee": {"ErrorCode": reason.lower().replace(" ", "_"), "Error": message},
    }
    if shape in bodies:
        return answers.as_json(bodies[shape], status)
    page = f"<html><body><h1>{status} {reason}</h1></body></html>" if shape == "html" else ""
    return Response(page, status, content_type="text/html")


def no_such_key() -> Response:
    """Answer as storage does for an object that is not there."""
    message = "The specified key does not exist."
    return answers.as_refusal(signing.Refusal(status=404, code="NoSuchKey", message=message))
