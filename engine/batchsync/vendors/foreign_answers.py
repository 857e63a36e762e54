"""Recognition of answers that do not come from the vendor, such as pages of portals and refusals of proxies."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from batchsync.core.vendor_calls import AnswerForm, Endpoint
from batchsync.vendors import response_parsing

if TYPE_CHECKING:
    from batchsync.core.vendor_calls import Call
    from batchsync.vendors.wire import Response

#: HTTP statuses of a server that did not start the work. A gateway may send them after the work was done behind it.
NOT_BEGUN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
#: HTTP statuses with which a proxy refuses to pass a request on.
_PROXY_REFUSALS = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED})


def is_foreign(call: Call, response: Response) -> bool:
    """Return whether something else than the vendor answered: a proxy, a portal, a gateway with a rule of its own.

    These are redirects, pages with a success status, and refusals (4xx) in no format of an API or of a storage. A
    server error or a throttled request is an outage, even if a gateway reports it.
    """
    status = response.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return is_page(call, response)
    if status in NOT_BEGUN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return False
    return status < HTTPStatus.BAD_REQUEST or not is_refusal(call, response)


def is_refusal(call: Call, response: Response) -> bool:
    """Return whether the body of a 4xx has the format of its endpoint: a storage answers in XML, an API mostly in JSON.

    A JSON object in place of a storage's XML comes from a gateway in front of it.
    """
    if call.endpoint is Endpoint.STORAGE:
        return response_parsing.is_storage_error(response.body)
    return response_parsing.is_api_error(response.body)


def is_page(call: Call, response: Response) -> bool:
    """Return whether a success has a body that the vendor does not send in this place: it has another form.

    A body that was saved as a document is not here, and judged by what reads it.
    """
    if response.saved:
        return False
    # A server may send JSON with the media type of a page.
    if call.answer is AnswerForm.JSON and response_parsing.is_json_like(response.body):
        return False
    if response_parsing.is_html(response.headers, response.body):
        return True
    is_empty = not response.body.strip()
    match call.answer:
        case AnswerForm.JSON:
            # What is empty is noticed where something is read of it.
            return not is_empty
        case AnswerForm.DOCUMENT:
            return not is_empty and not response_parsing.is_document(response.body)
        case _:
            return False


def is_temporary_refusal(response: Response) -> bool:
    """Return whether a redirect or refusal comes from a proxy, which may let the next request pass."""
    if response.status in _PROXY_REFUSALS:
        return not response_parsing.is_api_error(response.body)
    return response.status < HTTPStatus.BAD_REQUEST
