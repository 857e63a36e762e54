"""Lenient parsing of vendor responses, and templates of requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.vendor_calls import Call, Endpoint
from batchsync.errors import PermanentError, VendorError
from batchsync.vendors import response_parsing
from batchsync.vendors.dialect import Exchange, build, ensure_ok, read_status
from batchsync.vendors.redaction import Redactor
from batchsync.vendors.response_class import classify_response
from batchsync.vendors.template import UnknownValueError, fill, fill_all, fill_path
from batchsync.vendors.wire import Request, Response

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123-2022-08-09T06:22:21", datetime(2022, 8, 9, 6, 22, 21, tzinfo=UTC)),
        ("2022-08-09T06:22:21", datetime(2022, 8, 9, 6, 22, 21, tzinfo=UTC)),
        ("2025-03-07T16:15:11.000Z", datetime(2025, 3, 7, 16, 15, 11, tzinfo=UTC)),
        ("2025-03-07T16:15:11+13:00", datetime(2025, 3, 7, 3, 15, 11, tzinfo=UTC)),
        ("0001-01-01T00:00:00+13:00", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_timestamp_is_parsed_leniently(text: str | None, expected: datetime | None) -> None:
    assert response_parsing.parse_datetime(text) == expected


@pytest.mark.parametrize(
    ("url", "expiry"),
    [
        ("https://a/b?X-Goog-Date=20221026T181309Z&X-Goog-Expires=900", datetime(2022, 10, 26, 18, 28, 9, tzinfo=UTC)),
        ("https://a/b?X-Amz-Date=20221026T181309Z&X-Amz-Expires=60", datetime(2022, 10, 26, 18, 14, 9, tzinfo=UTC)),
        ("https://a/b?AWSAccessKeyId=x&Expires=1741367771", datetime(2025, 3, 7, 17, 16, 11, tzinfo=UTC)),
        ("https://a/b?X-Goog-Date=never&X-Goog-Expires=900", None),
        ("https://a/b?Expires=99999999999999999999", None),
        ("https://[", None),
        ("https://a/b", None),
        (None, None),
    ],
)
def test_expiry_of_signed_url_is_parsed(url: str | None, expiry: datetime | None) -> None:
    assert response_parsing.url_expiry(url) == expiry


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", timedelta(seconds=120)),
        ("0", timedelta()),
        ("999999999999999999999", timedelta(days=1)),
        ("Sun, 01 Mar 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("Sun, 01 Mar 2099 12:05:00 GMT", timedelta(days=1)),
        ("Sun, 01 Mar 2020 12:05:00 GMT", None),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_date_and_at_most_one_day(header: str, wait: timedelta | None) -> None:
    assert response_parsing.retry_at({"retry-after": header}, NOW) == (None if wait is None else NOW + wait)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message": "no"}', "no"),
        (b'{"fault": {"faultstring": "Invalid Access Token"}}', "Invalid Access Token"),
        (b'{"ErrorCode": "invalid_client", "Error": "wrong"}', "wrong"),
        (b'{"status": 400, "error": "Bad Request"}', "Bad Request"),
        (b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>", "NoSuchKey: gone"),
        (b"<html>hello</html>", ""),
        (b"", ""),
        (b'{"message": "a\\nb\\u0000\\u001b[31mc\\u202e"}', "a b [31mc"),
        (
            b'{"message": "see https://a.example/b?Signature=abc and so on"}',
            "see https://a.example/b?<redacted> and so on",
        ),
        (b'{"message": "the password hunter22 is wrong"}', "the password <redacted> is wrong"),
    ],
)
def test_error_message_is_found_and_redacted(body: bytes, message: str) -> None:
    assert response_parsing.error_message(body, Redactor(("hunter22",))) == message


def test_long_error_message_is_cut() -> None:
    assert (
        len(response_parsing.error_message(json.dumps({"message": "x" * 5000}).encode()))
        == response_parsing.MESSAGE_MAX
    )


@pytest.mark.parametrize(
    ("document", "items"),
    [([1], [1]), ({"content": [1], "total": 1}, [1]), ({"a": [1], "b": [2]}, None), ({}, None), ("text", None)],
)
def test_list_is_found_bare_or_wrapped(document: Any, items: Any) -> None:
    assert response_parsing.find_list(document) == items


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        (b"vin,plate,state\n", ("vin", "plate", "state")),
        (b'\xef\xbb\xbf"vin", "plate"\r\nA,B\r\n', ("vin", "plate")),
        (b"", None),
        (b"<html>", None),
        (b'{"error": 1}', None),
        (b"a,,b\n", None),
    ],
)
def test_columns_of_template_are_its_first_line(body: bytes, columns: tuple[str, ...] | None) -> None:
    assert response_parsing.columns(body) == columns


def test_json_pointer_reads_members_and_indexes() -> None:
    document = {"a": [{"b": "x"}], "c/d": {"~": 1}}
    assert response_parsing.json_pointer(document, "/a/0/b") == "x"
    assert response_parsing.json_pointer(document, "/c~1d/~0") == 1
    assert response_parsing.json_pointer(document, "/a/7/b") is None
    assert response_parsing.json_pointer(document, "/a/b") is None
    assert response_parsing.json_pointer(document, "") == document


@pytest.mark.parametrize("body", [rb'{"a": ["x\ud800"], "\udc00": 1}', b'{"a": ["x\xed\xa0\x80"]}'])
def test_unpaired_surrogate_is_replaced(body: bytes) -> None:
    document = response_parsing.parse_json(body)
    assert response_parsing.json_pointer(document, "/a/0") == "x?"
    assert json.dumps(document, ensure_ascii=False).encode()


def test_deeply_nested_json_is_unreadable() -> None:
    with pytest.raises(response_parsing.UnreadableError):
        response_parsing.parse_json(b"[" * 200_000)


@given(JSON, st.text(alphabet="/abc0~1", max_size=12))
def test_any_document_is_parsed_without_error(document: Any, pointer: str) -> None:
    response_parsing.text(document, (pointer,))
    response_parsing.count(document, pointer)
    response_parsing.find_list(document)


@given(st.binary(max_size=400))
def test_any_body_is_parsed_without_error(body: bytes) -> None:
    assert response_parsing.error_message(body).isprintable()
    response_parsing.columns(body)


POLL = Call(method="GET", url="/v2/{allocation.id}", read={"status": ("/status/code", "/status")})


def exchange_with(status: int, body: bytes) -> Exchange:
    request = Request(method="GET", url="https://a.example/x?Signature=abc", endpoint=Endpoint.API)
    return Exchange(call=POLL, request=request, response=Response(status=status, body=body), now=NOW)


@given(st.integers(100, 999), st.binary(max_size=100))
def test_any_response_is_classified(status: int, body: bytes) -> None:
    exchange = exchange_with(status, body)
    classify_response(POLL, exchange.response)
    reasons: list[str] = []
    try:
        ensure_ok(exchange)
        read_status(exchange, {})
    except VendorError as failure:
        reasons.append(failure.reason)
    assert not [reason for reason in reasons if "Signature=abc" in reason]


def test_value_in_path_remains_one_segment() -> None:
    for value in ("../admin", "a/b", "a?b=c", "a#b", "..", ".", "a b", "ü"):
        path = fill_path("/v2/{allocation.id}/end", {"allocation.id": value})
        assert path.count("/") == 3
        assert "?" not in path
        assert "/../" not in path
        assert "/./" not in path


def test_single_placeholder_keeps_type_of_value() -> None:
    assert fill_all({"size": "{file.size}", "note": "{file.size} bytes"}, {"file.size": 7}) == {
        "size": 7,
        "note": "7 bytes",
    }


def test_missing_optional_value_is_left_out() -> None:
    assert fill_all({"email": "{params.email?}", "a": "b"}, {}) == {"a": "b"}


def test_missing_required_value_is_named() -> None:
    with pytest.raises(UnknownValueError, match=r"params\.service"):
        fill("{params.service}", {})
    with pytest.raises(PermanentError, match=r"allocation\.id"):
        build(POLL, {}, "https://a.example")
