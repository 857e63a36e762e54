"""Classification of responses: by the rules of the vendor spec, else by HTTP semantics."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from batchsync.core.vendor_calls import ResponseClass
from batchsync.vendors.foreign_answers import NOT_BEGUN, is_page, is_refusal, is_temporary_refusal

if TYPE_CHECKING:
    from batchsync.core.vendor_calls import Call, ResponseRule
    from batchsync.vendors.wire import Response


def classify_response(call: Call, response: Response) -> ResponseClass:
    """Return the class of a response: by the rules of the vendor spec, else by HTTP semantics.

    A success whose body has another form than the vendor's answers leaves the outcome unknown, unless a rule names its
    text. For a call with a recorded intent the defaults are stricter, see `_default_class_for_intent`.
    """
    documented = documented_class(call, response)
    is_success = HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES
    if is_success and documented in (None, ResponseClass.OK) and is_page(call, response) and not _named(call, response):
        return ResponseClass.OUTCOME_UNKNOWN
    if documented:
        return documented
    return _default_class_for_intent(call, response) if call.intent else _default_class(response)


def _named(call: Call, response: Response) -> bool:
    """Return whether a rule of the vendor spec names the text of a response."""
    rule = _rule_for(call, response)
    return rule is not None and bool(rule.body_contains)


def documented_class(call: Call, response: Response) -> ResponseClass | None:
    """Return the class of a response by the rules of the vendor spec; None if no rule matches."""
    rule = _rule_for(call, response)
    return rule.means if rule is not None else None


def _rule_for(call: Call, response: Response) -> ResponseRule | None:
    """Return the first rule of the vendor spec that matches a response; None if none does."""
    body = response.body.lower()
    for rule in call.responses:
        if rule.status == response.status and rule.body_contains.lower().encode() in body:
            return rule
    return None


def may_reauthenticate(call: Call, response: Response) -> bool:
    """Return whether a call may be sent again with a new token because of a 401 response.

    A call with a recorded intent only if the vendor itself refused it: a gateway may respond 401 after the work.
    """
    return response.status == HTTPStatus.UNAUTHORIZED and not (
        call.intent and classify_response(call, response) is ResponseClass.OUTCOME_UNKNOWN
    )


def _default_class(response: Response) -> ResponseClass:
    """Return the class of a response to a call that can be repeated, where the vendor spec has no rule for it."""
    status = response.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return ResponseClass.OK
    if status in NOT_BEGUN:
        return ResponseClass.NOT_APPLIED
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or is_temporary_refusal(response):
        return ResponseClass.OUTCOME_UNKNOWN
    return ResponseClass.PERMANENT


def _default_class_for_intent(call: Call, response: Response) -> ResponseClass:
    """Return the class of a response to a call with a recorded intent, where the vendor spec has no rule for it.

    A 2xx is a success, if it has the form of the vendor's answers. Any other status leaves the outcome unknown,
    including 408, 429, 503 and redirects: a gateway that loses its upstream connection returns them after the work was
    done. Only a 4xx in the format of an API or a storage is a refusal: the vendor itself read the request.
    """
    status = response.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return ResponseClass.OK
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in NOT_BEGUN:
        return ResponseClass.PERMANENT if is_refusal(call, response) else ResponseClass.OUTCOME_UNKNOWN
    return ResponseClass.OUTCOME_UNKNOWN
