"""The status page of the mocks in Chromium: it updates itself, arms faults, pages rows, and shows values as text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

from batchsync_mocks import Clock, Running, serve
from kit import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOTORWEB, SITECORE = "motorweb-bdp", "sitecore-cdp"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'


@pytest.fixture
def mocks() -> Iterator[Running]:
    """Mocks with a clock that stands still."""
    with serve(clock=Clock("2026-03-01T12:00:00Z", frozen=True), seed=7) as running:
        yield running


@pytest.fixture
def page(mocks: Running) -> Iterator[chromium.Page]:
    """The status page, without the control token; no script fails on it, and the browser blocks none of its parts."""
    with chromium.opened() as opened:
        opened.open(f"{mocks.urls[SITECORE]}/_mock/")
        opened.wait_for("document.getElementById('state').textContent === 'Live'")
        opened.evaluate("window.sameDocument = true")
        yield opened
        assert opened.evaluate("window.sameDocument") is True
        assert opened.evaluate("window.hacked") is None
        assert opened.problems == []


def wait_for_text(page: chromium.Page, selector: str, text: str) -> None:
    page.wait_for(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})")


def upload(mocks: Running, data: bytes, *, signed: bool = True) -> tuple[str, int]:
    """Allocate a batch and upload a file; return its reference and the status of the upload."""
    ref, digest = str(uuid.uuid4()), hashlib.md5(data, usedforsecurity=False).digest()
    key = mocks.credentials(SITECORE)
    url, auth = f"{mocks.urls[SITECORE]}/v2/batches/{ref}", (key["client_key"], key["api_token"])
    allocated = requests.put(url, json={"checksum": digest.hex(), "size": len(data)}, auth=auth, timeout=10).json()
    headers = {"x-amz-server-side-encryption": "AES256"} if signed else {}
    headers |= {"Content-Md5": base64.b64encode(digest).decode()}
    return ref, requests.put(allocated["location"]["href"], data, headers=headers, timeout=10).status_code


def packed(*records: dict[str, Any]) -> bytes:
    return gzip.compress("\n".join(json.dumps(record) for record in records).encode(), mtime=0)


def guest(number: int, **value: Any) -> dict[str, Any]:
    identifiers = [{"provider": "CRM", "id": str(number)}]
    return {
        "ref": str(uuid.UUID(int=number + 1)),
        "schema": "guest",
        "mode": "upsert",
        "value": {"identifiers": identifiers, **value},
    }


def test_page_shows_what_happens_without_being_reloaded(mocks: Running, page: chromium.Page, tmp_path: Path) -> None:
    assert "No batches." in page.text("#batches-1")
    ref, _ = upload(mocks, packed(guest(1)))
    wait_for_text(page, "#batches-1", "file_uploaded")
    assert ref in page.text("#batches-1")
    refused, status = upload(mocks, packed(guest(2)), signed=False)
    assert status == 403
    wait_for_text(page, "#batches-1", "the header x-amz-server-side-encryption is missing; the URL signs AES256")
    first = page.text("#requests tbody tr:first-child")
    for shown in ("2026-03-01T12:00:00.000Z", "PUT", refused, "403", "SignatureDoesNotMatch"):
        assert shown in first
    mocks.advance(15)
    wait_for_text(page, "#batches-1", "success")
    wait_for_text(page, "#clock", "2026-03-01T12:00:15.000Z")
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_faults_are_armed_with_a_click_and_the_token(mocks: Running, page: chromium.Page) -> None:
    refuse = "#arm button[data-kind=refuse]"
    page.click(refuse)
    wait_for_text(page, "#message", "Enter the control token")
    assert mocks.faults() == []
    page.write("#token", mocks.control_token)
    page.choose("#arm-vendor", SITECORE)
    page.choose("#arm-requests", "uploads")
    page.choose("#arm-times", "the next three")
    page.click(refuse)
    wait_for_text(page, "#faults", "refuse")
    (fault,) = mocks.faults()
    armed = {name: fault[name] for name in ("kind", "vendor", "method", "path", "times")}
    wanted = {"kind": "refuse", "vendor": SITECORE, "method": "PUT", "path": "^/_storage/", "times": 3}
    assert armed == wanted
    assert upload(mocks, packed(guest(1)))[1] == 503
    wait_for_text(page, "#requests tbody tr:first-child", "fault: refuse")
    page.click("#arm button[data-kind=throttle]")
    wait_for_text(page, "#faults", "throttle")
    assert mocks.faults()[1]["retry_after"] == 5
    page.click("button[data-path=faults]")
    wait_for_text(page, "#faults", "No faults are armed.")
    page.click("button[data-path=clock]")
    wait_for_text(page, "#clock", "2026-03-01T12:01:00.000Z")
    assert mocks.control_token not in page.evaluate("document.documentElement.outerHTML")


def test_rows_are_paged_and_shown_as_text(mocks: Running, page: chromium.Page) -> None:
    records = [guest(n) for n in range(119)]
    bad = {**guest(200, firstName=HOSTILE), "mode": HOSTILE}
    ref, _ = upload(mocks, packed(*records, guest(119, firstName=HOSTILE), bad))
    wait_for_text(page, "#batches-1", ref)
    page.write("#token", mocks.control_token)
    page.click(f"button[data-rows='{ref}']")
    wait_for_text(page, "#rows-table", "Rows 1 to 50")
    assert "pending" in page.text("#rows-table")
    # The rows follow the batch.
    mocks.advance(15)
    wait_for_text(page, "#rows-table", "accepted")
    wait_for_text(page, "#rows-table", "Rows 1 to 50 of 121")
    for shown in ("Rows 51 to 100 of 121", "Rows 101 to 121 of 121"):
        page.click("#rows-next")
        wait_for_text(page, "#rows-table", shown)
    assert page.evaluate("document.getElementById('rows-next').disabled") is True
    assert page.text("#rows-table").count("<img src=x") == 3
    page.choose("#rows-outcome", "rejected")
    wait_for_text(page, "#rows-table", "Rows 1 to 1")
    row = page.text("#rows-table tbody tr")
    assert "402 Unsupported mode" in row
    assert HOSTILE in row
    assert page.evaluate("document.querySelectorAll('#rows img, #rows script').length") == 0
    page.click("#rows-close")
    assert page.evaluate("document.getElementById('rows').hidden") is True


def test_page_says_when_the_mocks_have_ended(mocks: Running, page: chromium.Page) -> None:
    mocks.close()
    wait_for_text(page, "#state", "Not connected")
