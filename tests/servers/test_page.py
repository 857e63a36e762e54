"""The page of `serve` in Chromium: a held run is approved, a run is watched live, and pages fit small screens."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync_mocks import Clock, serve
from kit import chromium
from kit.paged import Paged, paged, scheduled
from kit.planned import write_guests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit.deployment import Deployment

CDP = "sitecore-cdp"
HOSTILE = "<img src=x onerror=window.hacked=1>"


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment whose vendors live twenty times as fast."""
    with serve(clock=Clock(rate=20)) as mocks:
        yield scheduled(tmp_path, mocks)


@pytest.fixture
def browser() -> Iterator[chromium.Page]:
    """A browser in which no script fails, and nothing is blocked."""
    with chromium.opened() as opened:
        yield opened
        assert opened.evaluate("window.hacked") is None
        assert opened.problems == []


def shows(browser: chromium.Page, selector: str, text: str) -> None:
    """Wait until an element has a text."""
    browser.wait_for(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})")


def press(browser: chromium.Page, form: str) -> None:
    """Fill in name and reason of a form, and send it."""
    browser.write(f"form[action='{form}'] input[name=name]", "Ann")
    browser.write(f"form[action='{form}'] input[name=reason]", "reviewed")
    browser.click(f"form[action='{form}'] button")


def picture(browser: chromium.Page, name: str) -> None:
    """Write pictures of a page, if a folder for them is named: light and dark, wide and narrow."""
    folder = os.environ.get("BATCHSYNC_TEST_PICTURES")
    if not folder:
        return
    browser.call("Emulation.setScrollbarsHidden", hidden=True)
    for scheme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for width in (1280, 480):
            browser.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
            )
            browser.screenshot(Path(folder) / f"{name}-{scheme}-{width}.png")
    browser.call("Emulation.clearDeviceMetricsOverride")


def open_live(browser: chromium.Page, page: Paged, path: str) -> None:
    """Open a page, and wait until it is live."""
    browser.open(page.url + path)
    shows(browser, "#live-state", "live")
    browser.wait_for("document.documentElement.dataset.live === 'yes'")


def test_run_is_watched_live(deployment: Deployment, browser: chromium.Page) -> None:
    write_guests(deployment, *range(1, 21), name=HOSTILE, also="K0,bad,no-at-sign\n")
    with paged(deployment) as page:
        open_live(browser, page, "/jobs/guests")
        shows(browser, "#live", "the job never ran")
        press(browser, "/run")
        shows(browser, "main", "The job runs.")
        page.wait_until("/runs/guests-1", "Run guests-1")
        open_live(browser, page, "/runs/guests-1")
        browser.evaluate("window.sameDocument = true")
        shows(browser, "#live", "settled")
        assert browser.evaluate("window.sameDocument") is True
        shows(browser, "#live", "accepted 20 + invalid 1")
        browser.click("details summary")
        for event in ("Prepared", "Allocated", "Uploaded", "VendorFinished", "Collected", "Delivered"):
            assert event in browser.text("details")
        picture(browser, "run")
        browser.open(f"{page.url}/rejects?job=guests")
        assert "no-at-sign" not in browser.text()
        browser.click("a[href*='values=1']")
        shows(browser, "h1", "Show values of rows")
        browser.click("form[action='/values'] button")
        shows(browser, "main", "Values are shown")
        picture(browser, "rejects")
        browser.open(f"{page.url}/why?key=K7")
        shows(browser, "pre", "accepted")
        picture(browser, "why")
        browser.open(f"{page.url}/history")
        picture(browser, "history")


def test_held_run_is_approved_with_a_click(deployment: Deployment, browser: chromium.Page) -> None:
    write_guests(deployment, *range(1, 31))
    with paged(deployment) as page:
        page.post("/run", job="guests", run="", name="Ann", reason="first load")
        page.wait_until("/jobs/guests", "Synced")
        write_guests(deployment, 1)
        open_live(browser, page, "/")
        page.post("/run", job="guests", run="guests-1", name="Ann", reason="the shop closed accounts")
        shows(browser, "#live", "AwaitingApproval")
        picture(browser, "jobs")
        open_live(browser, page, "/runs/guests-2")
        shows(browser, "#live", "Stopped by a guard")
        picture(browser, "held")
        press(browser, "/approve")
        shows(browser, "main", "The plan is approved.")
        shows(browser, "#live", "Synced")
        picture(browser, "job")
    assert deployment.json("history", "guests", "--limit", "1")["runs"][0]["settlement"]["removed"] == 29


def test_pages_fit_a_narrow_screen_and_are_reached_by_keyboard(deployment: Deployment, browser: chromium.Page) -> None:
    write_guests(deployment, *range(1, 31))
    with paged(deployment) as page:
        page.post("/run", job="guests", run="", name="Ann", reason="first load")
        page.wait_until("/jobs/guests", "Synced")
        browser.call("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=False)
        for path in (
            "/",
            "/jobs/guests",
            "/runs/guests-1",
            "/rejects",
            "/rejects?job=guests",
            "/history",
            "/why?key=K1",
        ):
            browser.open(page.url + path)
            assert browser.evaluate("document.documentElement.scrollWidth") <= 360, path
            assert browser.evaluate("[...document.querySelectorAll('table')].every(t => t.caption)"), path
            assert browser.evaluate("document.querySelectorAll('main, header, footer, nav').length") == 4, path
            unnamed = "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(f => !f.labels.length)"
            assert browser.evaluate(f"{unnamed}.length") == 0, path
        browser.open(page.url)
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        assert browser.evaluate("document.activeElement.className") == "skip"
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
