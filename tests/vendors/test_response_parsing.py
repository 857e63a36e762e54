"""What vendors write is read leniently, and nothing that they write breaks the reader."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.vendor_rules import Call, Door
from lading.errors import Permanent, VendorFailure
from lading.vendors import reading
from lading.vendors.dialect import Asked, accept, build, judge, read_status
from lading.vendors.redaction import Redactor
from lading.vendors.template import UnknownValueError, fill, fill_all, fill_path
from lading.vendors.wire import Answer, Request

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("written", "moment"),
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
def test_a_moment_is_read_leniently(written: str | None, moment: datetime | None) -> None:
    assert reading.moment(written) == moment


@pytest.mark.parametrize(
    ("url", "until"),
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
def test_a_signed_url_says_until_when(url: str | None, until: datetime | None) -> None:
    assert reading.signed_until(url) == until


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
def test_retry_after_is_seconds_or_a_date_and_never_more_than_a_day(header: str, wait: timedelta | None) -> None:
    assert reading.retry_at({"retry-after": header}, NOW) == (None if wait is None else NOW + wait)


@pytest.mark.parametrize(
    ("body", "said"),
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
def test_what_a_vendor_says_is_shown_without_what_nobody_should_see(body: bytes, said: str) -> None:
    assert reading.said(body, Redactor(("hunter22",))) == said


def test_what_a_vendor_says_is_cut() -> None:
    assert len(reading.said(json.dumps({"message": "x" * 5000}).encode())) == reading.SAID_MAX


@pytest.mark.parametrize(
    ("document", "items"),
    [([1], [1]), ({"content": [1], "total": 1}, [1]), ({"a": [1], "b": [2]}, None), ({}, None), ("text", None)],
)
def test_a_list_is_found_bare_or_wrapped(document: Any, items: Any) -> None:
    assert reading.items(document) == items


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
def test_the_columns_of_a_template_are_its_first_line(body: bytes, columns: tuple[str, ...] | None) -> None:
    assert reading.columns(body) == columns


def test_a_pointer_reads_members_and_places() -> None:
    document = {"a": [{"b": "x"}], "c/d": {"~": 1}}
    assert reading.at(document, "/a/0/b") == "x"
    assert reading.at(document, "/c~1d/~0") == 1
    assert reading.at(document, "/a/7/b") is None
    assert reading.at(document, "/a/b") is None
    assert reading.at(document, "") == document


@pytest.mark.parametrize("body", [rb'{"a": ["x\ud800"], "\udc00": 1}', b'{"a": ["x\xed\xa0\x80"]}'])
def test_half_a_character_in_an_answer_can_be_written_down(body: bytes) -> None:
    document = reading.document(body)
    assert reading.at(document, "/a/0") == "x?"
    assert json.dumps(document, ensure_ascii=False).encode()


def test_a_deeply_nested_answer_is_unreadable_and_not_a_crash() -> None:
    with pytest.raises(reading.UnreadableError):
        reading.document(b"[" * 200_000)


@given(JSON, st.text(alphabet="/abc0~1", max_size=12))
def test_no_document_breaks_the_reader(document: Any, pointer: str) -> None:
    reading.text(document, (pointer,))
    reading.count(document, pointer)
    reading.items(document)


@given(st.binary(max_size=400))
def test_no_bytes_break_what_is_said(body: bytes) -> None:
    assert reading.said(body).isprintable()
    reading.columns(body)


POLL = Call(method="GET", url="/v2/{slot.id}", read={"word": ("/status/code", "/status")})


def heard(status: int, body: bytes) -> Asked:
    request = Request(method="GET", url="https://a.example/x?Signature=abc", door=Door.API)
    return Asked(call=POLL, request=request, answer=Answer(status=status, body=body), now=NOW)


@given(st.integers(100, 999), st.binary(max_size=100))
def test_every_answer_has_a_meaning_and_only_the_known_failures(status: int, body: bytes) -> None:
    asked = heard(status, body)
    judge(POLL, asked.answer)
    reasons: list[str] = []
    try:
        accept(asked)
        read_status(asked, {})
    except VendorFailure as failure:
        reasons.append(failure.reason)
    assert not [one for one in reasons if "Signature=abc" in one]


def test_a_value_in_a_path_stays_one_segment() -> None:
    for hostile in ("../admin", "a/b", "a?b=c", "a#b", "..", ".", "a b", "ü"):
        path = fill_path("/v2/{slot.id}/end", {"slot.id": hostile})
        assert path.count("/") == 3
        assert "?" not in path
        assert "/../" not in path
        assert "/./" not in path


def test_a_placeholder_alone_keeps_the_kind_of_its_value() -> None:
    assert fill_all({"size": "{file.size}", "note": "{file.size} bytes"}, {"file.size": 7}) == {
        "size": 7,
        "note": "7 bytes",
    }


def test_an_optional_value_that_is_absent_is_left_out() -> None:
    assert fill_all({"email": "{params.email?}", "a": "b"}, {}) == {"a": "b"}


def test_a_value_that_is_needed_and_unknown_is_named() -> None:
    with pytest.raises(UnknownValueError, match=r"params\.service"):
        fill("{params.service}", {})
    with pytest.raises(Permanent, match=r"slot\.id"):
        build(POLL, {}, "https://a.example")
