"""Answers of the generic mock: those of the exchanges of a vendor, or derived from what its calls read."""

from __future__ import annotations

import copy
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from batchsync_mocks import responses
from batchsync_mocks.generic.templates import put, value_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchsync_mocks.generic.spec import Call, Spec

_FAILURES = {"failure", "absent"}


def accepted(spec: Spec, calls: Sequence[Call], values: Mapping[str, Any], given: Mapping[str, str]) -> Response:
    """Return the answer to a successful request, with the values that its calls read.

    Args:
        spec: The vendor.
        calls: Calls that send the same request.
        values: Values by the name under which a call reads them; None for one that does not exist yet.
        given: Values of placeholders, which replace those of an exchange.
    """
    call = calls[0]
    exchange = next(_successes(spec, calls, values), None)
    status = _status(call)
    document: Any = None
    if exchange is not None:
        response = exchange["response"]
        status = response["status"]
        if "json" not in response and not any(item.read for item in calls):
            return Response(response.get("text", ""), status)
        document = replaced(copy.deepcopy(response.get("json")), exchange.get("given") or {}, given)
    for item in calls:
        document = with_values(document, item, values)
    return responses.json_response({} if document is None else document, status)


def with_values(document: Any, call: Call, values: Mapping[str, Any]) -> Any:
    """Return a document with the values that a call reads, at the first pointers that fit.

    Args:
        document: The document; None: there is none yet.
        call: The call.
        values: Values by name.
    """
    for name, pointers in call.read.items():
        if name not in values:
            continue
        known = [pointer for pointer in pointers if value_at(document, pointer) is not None]
        if values[name] is not None or known:
            document = put(document, (known or pointers)[0], values[name])
    return document


def refusal(spec: Spec, call: Call | None, status: int, message: str) -> Response:
    """Return the answer to a refused request: of an exchange of the call with that status, else of the project.

    Args:
        spec: The vendor.
        call: The call; None if it is not known.
        status: HTTP status.
        message: Reason, if there is no exchange.
    """
    for exchange in spec.exchanges_of(call) if call else ():
        response = exchange["response"]
        if response["status"] == status and _FAILURES & set(exchange["meaning"]):
            shown = responses.json_response(response["json"], status) if "json" in response else None
            return responses.explained(shown or Response(response.get("text", ""), status), message)
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    rule = next((rule for rule in call.responses if rule.status == status), None) if call else None
    text = f"{message} ({rule.body_contains})" if rule and rule.body_contains else message
    body = {"status": status, "error": phrase, "message": text}
    return responses.explained(responses.json_response(body, status), message)


def refused_as(spec: Spec, call: Call, meanings: Sequence[str], default: int, message: str) -> Response:
    """Return the answer to a request that is refused with one of some meanings.

    Args:
        spec: The vendor.
        call: The call.
        meanings: Meanings of responses in the vendor spec; the first rule with one of them gives the status.
        default: Status if there is no such rule.
        message: Reason, if there is no exchange.
    """
    statuses = [rule.status for rule in call.responses if rule.means in meanings]
    shown = [item["response"]["status"] for item in spec.exchanges_of(call)]
    status = next((status for status in statuses if status in shown), next(iter(statuses), default))
    return refusal(spec, call, status, message)


def documented_refusal(spec: Spec, call: Call, captured: Mapping[str, Any]) -> Response | None:
    """Return the answer of an exchange about values that a vendor refuses, if a request has these values.

    Only values that no exchange of a success has can be the reason of a refusal.

    Args:
        spec: The vendor.
        call: The call.
        captured: Values of placeholders in the request.
    """
    found = spec.exchanges_of(call)
    good = [item.get("given") or {} for item in found if not _FAILURES & set(item["meaning"])]
    for exchange in found:
        given = exchange.get("given") or {}
        reasons = {name: value for name, value in given.items() if not any(item.get(name) == value for item in good)}
        is_meant = "failure" in exchange["meaning"] and bool(reasons) and bool(good)
        if is_meant and all(str(captured.get(name)) == str(value) for name, value in reasons.items()):
            status = exchange["response"]["status"]
            return refusal(spec, call, status, f"a value that the exchange of a refusal has: {', '.join(reasons)}")
    return None


def document_of(spec: Spec, call: Call, given: Mapping[str, str]) -> Any:
    """Return the JSON of a successful exchange of a call, with the values of a request; None if there is none.

    Args:
        spec: The vendor.
        call: The call.
        given: Values of placeholders in the request.
    """
    for exchange in _successes(spec, [call], {}):
        if "json" in exchange["response"]:
            return replaced(copy.deepcopy(exchange["response"]["json"]), exchange.get("given") or {}, given)
    return None


def text_of(spec: Spec, call: Call) -> str | None:
    """Return the text of a successful exchange of a call; None if there is none."""
    found = (exchange["response"].get("text") for exchange in _successes(spec, [call], {}))
    return next((text for text in found if text), None)


def replaced(node: Any, given: Mapping[str, Any], known: Mapping[str, str]) -> Any:
    """Return JSON with the values of an exchange replaced by those of a request.

    Args:
        node: The JSON.
        given: Values of placeholders in the exchange.
        known: Values of the same placeholders in the request.
    """
    if isinstance(node, dict):
        return {name: replaced(inner, given, known) for name, inner in node.items()}
    if isinstance(node, list):
        return [replaced(inner, given, known) for inner in node]
    for name, value in given.items():
        if name in known and isinstance(node, str) and isinstance(value, str) and value:
            node = node.replace(value, known[name])
    return node


def _successes(spec: Spec, calls: Sequence[Call], values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the exchanges of successful requests, those with the status and the URLs of the values first."""
    found = [
        (_distance(exchange, call, values), exchange)
        for call in calls
        for exchange in spec.exchanges_of(call)
        if exchange["response"]["status"] < HTTPStatus.MULTIPLE_CHOICES and not _FAILURES & set(exchange["meaning"])
    ]
    yield from (exchange for _, exchange in sorted(found, key=lambda item: item[0]))


def _distance(exchange: Mapping[str, Any], call: Call, values: Mapping[str, Any]) -> int:
    """Return in how many values that a call reads an exchange differs in kind; a status differs in its text."""
    document = exchange["response"].get("json")
    count = 0
    for name, pointers in call.read.items():
        documented = next((item for item in (value_at(document, at) for at in pointers) if item is not None), None)
        count += (
            documented != values.get(name) if name == "status" else (documented is None) != (values.get(name) is None)
        )
    return count


def _status(call: Call) -> int:
    """Return the HTTP status of a successful request."""
    rule = call.rule("ok")
    if rule is not None:
        return rule.status
    return HTTPStatus.CREATED if call.method == "POST" else HTTPStatus.OK
