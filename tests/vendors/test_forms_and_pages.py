"""Signed forms, pages by number, and answers of another form: against the mock of a folder, and call by call."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.batch import Allocation, BatchFile, IdempotencyKey
from batchsync.core.vendor_calls import AnswerForm, Call, CallName, Endpoint, Pages, ResponseClass, ResponseRule
from batchsync.errors import AmbiguousOutcomeError, PermanentError, SpecError
from batchsync.spec.vendor_spec import load_vendor
from batchsync.vendors.dialect import Exchange, build, read_allocation, values
from batchsync.vendors.pages import PagedDocument
from batchsync.vendors.response_class import classify_response
from batchsync.vendors.wire import Response
from batchsync_mocks import Clock, serve
from kit.deployment import Deployment
from kit.folder_vendors import START
from kit.plain_vendor import BLOCKS, spec_text, write_acme

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SPEC = spec_text(
    """
calls:
  - call: allocate
    method: POST
    url: /uploads
    read: {id: [/id], url: [/form/url], fields: [/form/fields]}
    source: a
  - call: upload
    method: POST
    url: "{allocation.url}"
    endpoint: storage
    sends_file: true
    parts:
      - {fields: true}
      - {name: file, file: true, filename: "{file.name}", type: text/csv}
    responses: [{status: 403, body_contains: expired, means: expired, source: a}]
    source: a
  - {call: poll, method: GET, url: "/uploads/{allocation.id}", read: {status: [/state]}, source: a}
errors:
  verdicts: [processed]
  downloads:
    - save_as: errors.json
      call: {method: GET, url: "/uploads/{allocation.id}/errors", source: a}
      pages: {offset: from, limit: take, size: 3, items: /rows, total: /count}
  source: a
""",
    connection=BLOCKS["connection"].replace("storage_hosts: []", "storage_hosts: [files.acme.example]"),
    policy=BLOCKS["policy"].replace("on_unknown_upload: stop", "on_unknown_allocation: take_another"),
    row_log="""
  joined_by: row
  default_outcome: accepted
  results: false
  errors: {format: json, items: /rows, ref: /line, code: code, message: text}
  source: a""",
    statuses=" {Open: empty, Queued: running, Done: processed, source: a}",
)
POLICY = base64.b64encode(json.dumps({"expiration": "2026-01-01T01:00:00.000Z"}).encode()).decode()


def test_signed_form_is_posted_and_rows_are_read_page_by_page(tmp_path: Path) -> None:
    rows = "id,name\n" + "".join(f"{number},{'MOCK-REJECT' if number % 2 else 'x'}\n" for number in range(1, 11))
    write_acme(tmp_path, SPEC, base_url="http://127.0.0.1:9", rows=rows)
    with serve([str(tmp_path / "acme")], clock=Clock(START, frozen=True, auto=True), seed=1) as mocks:
        deployment = Deployment(tmp_path, mocks)
        # A page has at most two rows, although three are asked for.
        mocks.switch("acme", page_size=2)
        total = deployment.json("sync")["total"]
        assert (total["accepted"], total["rejected"]) == (5, 5)
        found = deployment.json("rejects", "things")["rejects"]
        assert sorted(int(item["key"]) for item in found) == [1, 3, 5, 7, 9]
        asked = [item for item in mocks.requests() if item["path"].endswith("/errors")]
        assert [item["status"] for item in asked] == [200, 200, 200]
        for path in (tmp_path / ".batchsync").rglob("*"):
            assert not path.is_file() or b"AWS4-HMAC-SHA256" not in path.read_bytes()


def test_form_that_expired_is_allocated_anew(tmp_path: Path) -> None:
    write_acme(tmp_path, SPEC, base_url="http://127.0.0.1:9")
    with serve(
        [str(tmp_path / "acme")], clock=Clock(START, frozen=True, auto=True), profile="expired", seed=1
    ) as mocks:
        assert Deployment(tmp_path, mocks).json("sync")["total"]["accepted"] == 2


def _exchange(answer: Mapping[str, Any]) -> Exchange:
    call = Call(method="POST", url="/x", read={"id": ("/id",), "url": ("/url",), "fields": ("/fields",)})
    response = Response(status=201, body=json.dumps(answer).encode())
    return Exchange(
        call=call, request=build(call, {}, "https://a.example"), response=response, now=datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_fields_of_an_answer_are_sent_as_they_are_before_the_file(tmp_path: Path) -> None:
    answer = {"id": 7, "url": "https://b.example/", "fields": {"key": "{token}", "policy": POLICY, "n": 1, "x": None}}
    allocation = read_allocation(_exchange(answer), IdempotencyKey("k"), granted=True)
    # The policy tells when the form expires.
    assert allocation.expires_at == datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert allocation.fields == {"key": "{token}", "policy": POLICY, "n": "1"}
    assert "policy" not in repr(allocation)
    assert allocation.without_url == Allocation(id="7", expires_at=allocation.expires_at)
    write_acme(tmp_path, SPEC)
    dialect = load_vendor(f"{tmp_path}/acme").dialect
    assert dialect is not None
    file = BatchFile(path="b.csv", row_manifest="m", digest="d" * 64, md5="0" * 32, size=4, rows=1)
    request = build(dialect.calls[CallName.UPLOAD], values(allocation=allocation, file=file), "https://a.example", file)
    assert request.before.decode().count("form-data; name=") == 4
    assert b'name="key"\r\n\r\n{token}\r\n' in request.before
    assert request.before.rstrip().endswith(b"text/csv")


@pytest.mark.parametrize("fields", [None, {}, [], "text", {"key": "a\r\nb"}])
def test_allocation_without_fields_is_an_unknown_outcome(fields: object) -> None:
    exchange = _exchange({"id": 7, "url": "https://b.example/", "fields": fields})
    with pytest.raises(AmbiguousOutcomeError, match="contains no fields of a form"):
        read_allocation(exchange, IdempotencyKey("k"), granted=True)


OFFSET = Pages(offset="from", limit="take", size=3, items="/rows")


def _pages(pages: Pages, answers: list[Any], call: Call | None = None) -> tuple[list[Any], list[str]]:
    """Return the pages that are read, and the URLs that are asked for, of a vendor with these answers in a row."""
    urls: list[str] = []

    def send(wanted: Call, known: dict[str, str | int | None]) -> Exchange:
        request = build(wanted, known, "https://a.example")
        urls.append(request.url.removeprefix("https://a.example"))
        answer = answers[len(urls) - 1]
        status, body = (answer, b"{}") if isinstance(answer, int) else (200, json.dumps(answer).encode())
        response = Response(status=status, body=body)
        return Exchange(call=wanted, request=request, response=response, now=datetime(2026, 1, 1, tzinfo=UTC))

    rules = (ResponseRule(status=404, means=ResponseClass.ABSENT),)
    document = PagedDocument(send, call or Call(method="GET", url="/log?x=1", responses=rules), pages, {})
    return (list(document.pages()) if document.exists else []), urls


@pytest.mark.parametrize(
    ("pages", "answers", "count", "asked"),
    [
        (OFFSET, [{"rows": [1, 2, 3]}, {"rows": [4]}, {"rows": []}], 2, ["0&take=3", "3&take=3", "4&take=3"]),
        # Fewer items than asked for are no end, unless the total says so.
        (OFFSET, [{"rows": [1]}, {"rows": [2]}, 404], 2, ["0&take=3", "1&take=3", "2&take=3"]),
        (
            replace(OFFSET, total="/all"),
            [{"rows": [1, 2], "all": 3}, {"rows": [3], "all": 3}],
            2,
            ["0&take=3", "2&take=3"],
        ),
        (OFFSET, [{"rows": []}], 1, ["0&take=3"]),
        (OFFSET, [404], 0, ["0&take=3"]),
        (Pages(page="from", first=1, items="/rows"), [{"rows": [1, 2]}, {"rows": [3]}, 204], 2, ["1", "2", "3"]),
    ],
)
def test_pages_by_number_end_where_nothing_follows(
    pages: Pages, answers: list[Any], count: int, asked: list[str]
) -> None:
    found, urls = _pages(pages, answers)
    assert found == answers[:count]
    assert urls == [f"/log?x=1&from={item}" for item in asked]


@pytest.mark.parametrize("page", [{}, {"rows": None}, {"rows": {"a": 1}}, []])
def test_page_without_its_list_is_asked_for_again(page: object) -> None:
    with pytest.raises(AmbiguousOutcomeError, match="contains no list of items"):
        _pages(OFFSET, [page])


def test_pages_that_lead_to_each_other_end() -> None:
    with pytest.raises(PermanentError, match="pages of the document do not end"):
        _pages(Pages(next="/next", param="cursor"), [{"next": "a"}, {"next": "b"}, {"next": "a"}])


UPLOAD = Call(method="POST", url="/x", sends_file=True, intent=True, answer=AnswerForm.DOCUMENT)
STORED = replace(UPLOAD, endpoint=Endpoint.STORAGE)
READING = replace(UPLOAD, answer=AnswerForm.JSON, read={"id": ("/id",)})
OK_RULE = ResponseRule(status=200, means=ResponseClass.OK)


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        *((call, "Please sign in to the network", "outcome_unknown") for call in (UPLOAD, STORED, READING)),
        # A rule about the status alone does not make a text the vendor's; one that names the text does.
        (replace(UPLOAD, responses=(OK_RULE,)), "Please sign in", "outcome_unknown"),
        (replace(UPLOAD, responses=(OK_RULE,)), "<html><body>Sign in</body></html>", "outcome_unknown"),
        (replace(UPLOAD, responses=(replace(OK_RULE, body_contains="stored"),)), "File stored.", "ok"),
        (replace(UPLOAD, answer=AnswerForm.ANY), "File stored.", "ok"),
        *((call, "", "ok") for call in (UPLOAD, STORED)),
        *((call, '{"id": 1}', "ok") for call in (UPLOAD, STORED, READING)),
        (UPLOAD, "<?xml version='1.0'?><Stored/>", "ok"),
        (READING, "<?xml version='1.0'?><Stored/>", "outcome_unknown"),
        # The same for a call that may be repeated, such as a cancellation.
        (replace(UPLOAD, sends_file=False, intent=False), "Please sign in", "outcome_unknown"),
        (Call(method="GET", url="/log"), "a,b\n1,2\n", "ok"),
    ],
)
def test_success_of_another_form_leaves_the_outcome_unknown(call: Call, body: str, expected: str) -> None:
    assert classify_response(call, Response(status=200, body=body.encode())) == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pages: {offset: from,", "pages: {next: /next, offset: from,", "must have one of next, offset and page"),
        ("offset: from, limit: take, size: 3", "next: /next, limit: take, size: 3", "needs offset or page"),
        ("limit: take, size: 3,", "limit: take,", "must be given with size"),
        (" items: /rows, total", " total", "must be the pointer to the list"),
        ("offset: from,", "offset: from, param: cursor,", "is the parameter of a cursor"),
        ("offset: from", "offset: 'a&b'", "invalid format"),
        ("format: json, items", "format: jsonl, items", "needs a list of rejected rows in JSON"),
        ("- {fields: true}", "- {fields: true, name: x}", "must be given, except for fields"),
        ("{name: file, file: true", "{file: true", "must be given, except for fields"),
        (", fields: [/form/fields]", "", "must define where to read fields"),
    ],
)
def test_pages_and_forms_that_cannot_work_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SPEC
    write_acme(tmp_path, SPEC.replace(old, new))
    with pytest.raises(SpecError) as raised:
        load_vendor(f"{tmp_path}/acme")
    assert [problem for problem in raised.value.problems if message in problem.message and problem.line], [
        problem.message for problem in raised.value.problems
    ]
