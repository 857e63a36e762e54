"""Status page: outcomes of requests, causes of refusals, pages of rows, hostile values; tests/servers has a browser."""

from __future__ import annotations

import re
import uuid
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
import requests
from mock_clients import (
    GOOD_CSV,
    MOTORWEB,
    SITECORE,
    MotorwebClient,
    SitecoreClient,
    announced,
    named,
    packed,
    put,
    record,
    upload_headers,
)

from batchsync_mocks import Fault, Running
from batchsync_mocks.faults import KINDS
from batchsync_mocks.page.fault_buttons import BUTTONS

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = packed(record("guest", "upsert", email="a@example.com"))
DENIED = "Full authentication is required to access this resource"
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><b>bold</b>',
    "</td></tr></table>",
    "&lt;i&gt;",
    "\u202eright to left\u0000\ud800",
    "x" * 5000,
]


def guests(count: int) -> list[dict[str, Any]]:
    return [record("guest", "upsert", identifiers=named(str(n))) for n in range(count)]


def rows(mocks: Running, **parameters: object) -> requests.Response:
    params = {name: str(value) for name, value in parameters.items()}
    return requests.get(f"{mocks.url}/_mock/rows", params=params, headers=mocks.control_headers, timeout=10)


class Tags(HTMLParser):
    """Collects tags and texts of a page as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.texts = set[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs), (tag, attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_requests_have_time_status_faults_and_what_was_wrong(mocks: Running, sitecore: SitecoreClient) -> None:
    began = mocks.clock.now()
    requests.get(f"{sitecore.url}/v2/batches/inspect", timeout=10)
    requests.get(f"{sitecore.url}/v2/batches/inspect", auth=("a", "b"), timeout=10)
    sitecore.allocate(str(uuid.uuid4()), {"checksum": "no", "size": 1})
    mocks.arm(Fault(kind="refuse", vendor=SITECORE), Fault(kind="lose_answer", vendor=SITECORE, nth=2))
    sitecore.get("/inspect")
    with pytest.raises(requests.ConnectionError):
        sitecore.get("/inspect")
    MotorwebClient(mocks).call("GET", "/batches/none")
    mocks.revoke_tokens(MOTORWEB)
    requests.get(f"{mocks.urls[MOTORWEB]}/batch/v1/batches", timeout=10)
    found = requests.get(f"{mocks.url}/_mock/requests", timeout=10).json()
    assert {item["at"] for item in found} == {began}
    assert [(item["status"], item["faults"], item["problem"]) for item in found] == [
        (401, [], f"{DENIED} (no Authorization header was sent)"),
        (
            401,
            [],
            f"{DENIED} (client key and token are not those of the mock)",
        ),
        (400, [], "checksum is required and must be the hexadecimal MD5 of the file"),
        (503, ["refuse"], ""),
        (None, ["lose_answer"], "the connection was closed without a response"),
        (200, [], ""),
        (400, [], "The id in the path must be a UUID"),
        (401, [], "Invalid Access Token (no Authorization header was sent)"),
    ]
    page = requests.get(f"{mocks.url}/_mock/", timeout=10).text
    for shown in (
        "fault: refuse",
        "closed without a response; fault: lose_answer",
        "must be the hexadecimal MD5",
        ">503<",
    ):
        assert shown in page


def test_defect_of_the_mock_is_shown(
    mocks: Running, sitecore: SitecoreClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    vendor: Any = mocks.of(SITECORE).running._context.vendors[SITECORE]
    monkeypatch.setitem(vendor._api_handlers, "list", lambda _: 1 // 0)
    assert sitecore.get("/inspect").status_code == 500
    assert (mocks.requests()[-1]["status"], mocks.requests()[-1]["problem"][:15]) == (500, "the mock failed")
    assert "ZeroDivisionError" in caplog.text


def without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda headers: without(headers, "Content-Md5"), "the header content-md5 is missing; the URL signs "),
        (lambda headers: headers | {"Content-Md5": "abc"}, "the header content-md5 is abc; the URL signs "),
        (
            lambda headers: without(headers, "x-amz-server-side-encryption"),
            "the header x-amz-server-side-encryption is missing; the URL signs AES256",
        ),
        (
            lambda headers: headers | {"x-amz-server-side-encryption": "aws:kms"},
            "the header x-amz-server-side-encryption is aws:kms; the URL signs AES256",
        ),
        (lambda headers: headers | {"Host": "other.example"}, "method, host, path or query are not those"),
    ],
)
def test_cause_of_a_refused_upload_is_shown_until_one_succeeds(
    mocks: Running, sitecore: SitecoreClient, change: Any, cause: str
) -> None:
    href = sitecore.allocate(str(uuid.uuid4()), announced(DATA)).json()["location"]["href"]
    headers = upload_headers(DATA)
    refused = put(href, DATA, **change(headers))
    assert refused.status_code == 403
    # Storage does not say it.
    assert cause not in refused.text
    assert cause in mocks.batches(SITECORE)[0]["refused"]
    assert mocks.requests()[-1]["problem"].startswith("SignatureDoesNotMatch: ")
    assert "upload refused: SignatureDoesNotMatch" in requests.get(f"{mocks.url}/_mock/", timeout=10).text
    assert put(href, DATA, **headers).status_code == 200
    assert mocks.batches(SITECORE)[0]["refused"] == ""


def test_upload_that_differs_or_comes_late_is_explained(mocks: Running, sitecore: SitecoreClient) -> None:
    size, checksum = announced(DATA)["size"], announced(DATA)["checksum"]
    for body, problem in (
        ({"checksum": checksum, "size": size + 1}, f"{size} bytes arrived, {size + 1} were announced"),
        (
            {"checksum": checksum.upper(), "size": size},
            f"the MD5 is {checksum}, {checksum.upper()} (upper case) was announced",
        ),
    ):
        href = sitecore.allocate(str(uuid.uuid4()), body).json()["location"]["href"]
        assert put(href, DATA, **upload_headers(DATA)).status_code == 200
        batch = mocks.batches(SITECORE)[-1]
        assert (batch["status"], batch["note"], mocks.requests()[-1]["problem"]) == ("corrupted", problem, problem)
    href = sitecore.allocate(str(uuid.uuid4()), announced(DATA)).json()["location"]["href"]
    assert put(href, DATA, **upload_headers(DATA)).status_code == 200
    mocks.advance(15)
    assert put(href, DATA, **upload_headers(DATA)).status_code == 200
    assert mocks.requests()[-1]["problem"] == "the batch accepts no upload any more; the file was ignored"


def test_refused_upload_of_motorweb_is_explained(mocks: Running, motorweb: MotorwebClient) -> None:
    url = motorweb.create().json()["url"]
    put(url, GOOD_CSV, **{"x-goog-acl": "private"})
    assert "x-goog-acl is sent, but not signed" in mocks.batches(MOTORWEB)[0]["refused"]
    mocks.advance(900)
    put(url, GOOD_CSV)
    assert mocks.batches(MOTORWEB)[0]["refused"] == "ExpiredToken: The provided token has expired."


@pytest.mark.parametrize("state", ["pending", "processed", "pending bulk", "processed bulk"])
def test_pages_of_rows_together_are_the_ledger(mocks: Running, sitecore: SitecoreClient, state: str) -> None:
    processed, bulk = "processed" in state, "bulk" in state
    mocks.switch(SITECORE, bulk=bulk)
    records = [*guests(120), record("guest", "insert", email="x@example.com"), *guests(30)]
    sitecore.send(packed(record("guest", "upsert", email="earlier@example.com")))
    ref = sitecore.send(packed(*records))
    mocks.advance(15 if processed else 1)
    found: list[Any] = []
    more = True
    while more:
        page = rows(mocks, vendor=SITECORE, batch=ref.upper(), offset=len(found), limit=40).json()
        assert (page["batch"], page["offset"], page["total"]) == (ref, len(found), 151 if processed else None)
        found, more = found + page["rows"], page["more"]
    kept = [entry for entry in mocks.ledger(SITECORE, values=True) if entry["batch"] == ref]
    expected = [{k: v for k, v in entry.items() if k not in {"batch", "delivery"}} for entry in kept]
    assert found == expected
    assert [row["value"] for row in found] == [item["value"] for item in records]
    outcome = "rejected" if processed and not bulk else expected[0]["outcome"]
    matching = [row for row in expected if row["outcome"] == outcome]
    assert rows(mocks, vendor=SITECORE, batch=ref, outcome=outcome, limit=200).json()["rows"] == matching
    assert rows(mocks, vendor=SITECORE, batch=ref, outcome=outcome, offset=1, limit=1).json()["rows"] == matching[1:2]


def test_rows_of_motorweb_have_columns_and_errors(mocks: Running, motorweb: MotorwebClient) -> None:
    batch = motorweb.send(GOOD_CSV + b",MOCK404,ACT\r\nshort,,\r\n")
    assert [row["outcome"] for row in rows(mocks).json()["rows"]] == ["pending"] * 4
    mocks.advance(600)
    page = rows(mocks, offset=1).json()
    assert [(row["line"], row["outcome"]) for row in page["rows"]] == [
        (3, "accepted"),
        (4, "rejected"),
        (5, "rejected"),
    ]
    assert (page["batch"], page["total"], page["more"]) == (batch, 4, False)
    html = rows(mocks, format="html").text
    for shown in ("Rows 1 to 4 of 4", "PROCESSING_ERROR: Plate/State not found", "{&quot;vin&quot;:&quot;short&quot;"):
        assert shown in html


def test_rows_without_batch_or_upload_are_empty(mocks: Running, sitecore: SitecoreClient) -> None:
    page = rows(mocks).json()
    assert (page["vendor"], page["batch"], page["rows"], page["more"], page["total"]) == (MOTORWEB, "", [], False, None)
    ref = str(uuid.uuid4())
    sitecore.allocate(ref, announced(DATA))
    assert rows(mocks, vendor=SITECORE, batch=ref, format="html").text.count("No rows.") == 2


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"batch": "none"}, 404),
        ({"offset": "-1"}, 400),
        ({"offset": "x"}, 400),
        ({"limit": "0"}, 400),
        ({"limit": "201"}, 400),
        ({"outcome": "lost"}, 400),
        ({"vendor": "acme"}, 404),
    ],
)
def test_invalid_page_of_rows_is_refused(mocks: Running, parameters: dict[str, str], status: int) -> None:
    response = rows(mocks, **parameters)
    assert (response.status_code, bool(response.json()["error"])) == (status, True)


def hostile_pages(mocks: Running) -> Iterator[str]:
    motorweb, sitecore = MotorwebClient(mocks), SitecoreClient(mocks)
    for number, value in enumerate(HOSTILE):
        quoted = value.replace('"', '""').replace("\ud800", "").replace("\0", "")
        motorweb.send(f'vin,plate,state\r\n"{quoted}",,\r\n'.encode(), f"{value[:50]}{number}".replace("\ud800", ""))
    sitecore.send(packed(*(record(value, value, firstName=value) | {"ref": value} for value in HOSTILE)))
    mocks.advance(600)
    for value in HOSTILE[:5]:
        requests.get(f"{mocks.url}/{value}", timeout=10)
        mocks.arm(Fault(kind="refuse", path=re.escape(value), vendor=value, method=value))
    yield requests.get(f"{mocks.url}/_mock/", timeout=10).text
    yield from requests.get(f"{mocks.url}/_mock/live", timeout=10).json().values()
    for batch in mocks.batches(MOTORWEB):
        yield rows(mocks, batch=batch["batchId"], format="html").text
    yield rows(mocks, vendor=SITECORE, format="html").text


def test_hostile_values_are_shown_as_text(mocks: Running) -> None:
    pages = list(hostile_pages(mocks))
    own = Tags(requests.get(f"{mocks.url}/_mock/", timeout=10).text).tags
    texts = ""
    for text in pages:
        page = Tags(text)
        assert page.tags <= own | {"table", "thead", "tbody", "tr", "th", "td"}
        assert {"b", "i", "img"}.isdisjoint(page.tags)
        texts += "".join(page.texts)
    for value in HOSTILE[:5]:
        assert value.replace('"', '\\"') in texts or value in texts
    assert not {"\u202e", "\0", "\ud800"} & set(texts)
    assert "more characters)" in texts


def test_each_fault_has_a_button_that_arms_it(mocks: Running) -> None:
    assert set(BUTTONS) == set(KINDS)
    page = requests.get(f"{mocks.url}/_mock/", timeout=10).text
    for kind, (_, _, fields) in BUTTONS.items():
        assert f'data-kind="{kind}"' in page
        mocks.arm(Fault.from_json({"kind": kind, **fields}))


def test_page_needs_nothing_from_elsewhere(mocks: Running) -> None:
    response = requests.get(f"{mocks.url}/_mock/", timeout=10)
    assert not re.findall(r"(?:src|href)=.?(?!data:)\w", response.text)
    assert not re.findall(r"https?://", response.text)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_page_shows_the_last_batches_of_many(mocks: Running, sitecore: SitecoreClient) -> None:
    for _ in range(203):
        ref = str(uuid.uuid4())
        sitecore.allocate(ref, announced(DATA))
    page = requests.get(f"{mocks.url}/_mock/live", timeout=10).json()["batches-1"]
    assert "203 batch(es), the last 200" in page
    assert (page.count("<tr>"), ref in page) == (201, True)
    assert len(mocks.batches(SITECORE)) == 203
