"""The page of a running `serve`: its forms do what the commands do, once, and nothing if the page is out of date."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from batchsync_mocks.faults import Fault
from kit.deployment import CDP
from kit.paged import Paged, paged, scheduled
from kit.planned import write_guests

if TYPE_CHECKING:
    from kit.deployment import Deployment

PAGE = Path(__file__).parents[2] / "docs" / "page.md"
BY = {"name": "Ann", "reason": "reviewed"}


@pytest.fixture
def guests(deployment: Deployment) -> Deployment:
    """A deployment whose job `guests` is served, and does nothing by itself during a test."""
    return scheduled(deployment.folder, deployment.mocks)


def resolution(page: Paged, batch: str) -> dict[str, str]:
    """Return the hidden fields of the form that resolves a batch."""
    version = page.field(f"/batches/{batch}", "/resolve", "version")
    return {"job": "guests", "batch": batch, "version": version} | BY


def test_only_the_plan_that_the_page_showed_is_approved(guests: Deployment) -> None:
    write_guests(guests, *range(1, 31))
    guests.run("sync", "guests")
    write_guests(guests, 1)
    guests.run("sync", "guests", expect=6)
    with paged(guests) as page:
        old = {name: page.field("/runs/guests-2", "/approve", name) for name in ("job", "run", "plan")}
        write_guests(guests, 1, 2)
        assert page.post("/run", job="guests", run="guests-1", **BY).status_code == 409
        assert page.post("/run", job="guests", run="guests-2", **BY).status_code == 303
        page.wait_until("/runs/guests-3", "Stopped by a guard")
        assert 'action="/approve"' not in page.get("/runs/guests-2").text
        stale = page.post("/approve", **old, **BY)
        assert (stale.status_code, "The page was out of date" in stale.text) == (409, True)
        new = {name: page.field("/runs/guests-3", "/approve", name) for name in ("job", "run", "plan")}
        assert "Compare the source now" in page.get("/plan?job=guests").text
        assert page.post("/plan", job="guests").status_code == 303
        shown = page.get("/plan?job=guests").text
        assert "This is the plan of run" in shown
        assert "- K10" in shown
        assert "18 more" in shown
        assert "guest 10" not in shown
        write_guests(guests, 1, 2, 30)
        page.post("/plan", job="guests")
        assert "has another plan" in page.get("/plan?job=guests").text
        write_guests(guests, 1, 2)
        assert page.post("/plan", job="orders").status_code == 422
        assert page.get("/plan?job=orders").status_code == 404
        assert page.post("/approve", **new | {"plan": old["plan"]}, **BY).status_code == 409
        assert page.post("/approve", **new, **BY, send="yes").status_code == 303
        assert page.post("/approve", **new, **BY, send="yes").status_code == 409
        page.wait_until("/runs/guests-4", "settled")
        assert "reviewed (Ann, on the page)" in page.get("/runs/guests-3").text
        page.wait_for(r"guests: approve by the page, for reviewed \(Ann, on the page\)")
    runs = guests.json("history", "guests")["runs"]
    assert [run["settlement"]["removed"] for run in runs] == [28, 28, 29, 0]
    assert runs[1]["approved"]["reason"] == "reviewed (Ann, on the page)"


def test_unknown_outcome_is_asked_for_again_and_resolved_once(guests: Deployment) -> None:
    guests.mocks.arm(Fault(kind="status", vendor=CDP, method="GET", path="^/v2/batches/inspect/.", status=404, times=0))
    guests.run("sync", "guests", expect=8)
    (batch,) = guests.json("status", "guests", expect=8)["jobs"][0]["unresolved"]
    with paged(guests) as page:
        assert "NeedsAttention" in page.get("/jobs/guests").text
        before = resolution(page, batch)
        assert page.post("/resolve", **before).status_code == 422
        # The vendor still does not know the batch, so that asking changes nothing but its events.
        collected = page.post("/collect", **before)
        assert collected.status_code in (303, 422), collected.text
        fields = resolution(page, batch)
        assert page.post("/resolve", **fields, outcome="delivered").status_code == 303
        assert page.post("/resolve", **fields, outcome="resend").status_code == 409
        assert "Resolved" in page.get(f"/batches/{batch}").text
        assert "NeedsAttention" not in page.wait_until("/jobs/guests", "Synced")
    assert guests.json("status", "guests")["jobs"][0]["unresolved"] == []
    assert len(guests.mocks.batches(CDP)) == 1


def test_parked_batch_is_retried(guests: Deployment) -> None:
    guests.mocks.arm(Fault(kind="lose_answer", vendor=CDP, method="PUT", path="/_storage", times=0))
    guests.mocks.arm(Fault(kind="vanish", vendor=CDP, method="GET", path="/inspect/", times=0))
    guests.run("sync", "guests", expect=8)
    guests.mocks.disarm()
    with paged(guests) as page:
        version = page.field("/jobs/guests", "/resume", "version")
        assert page.post("/resume", job="guests", version="1", **BY).status_code == 409
        assert page.post("/resume", job="guests", version=version, **BY).status_code == 303
        page.wait_until("/runs/guests-1", "Reopened")
        assert "reviewed (Ann, on the page)" in page.get("/runs/guests-1").text
    guests.run("resume", "guests", expect=0)
    assert set(guests.delivered(CDP).values()) == {1}


def test_jobs_file_that_is_invalid_is_shown(guests: Deployment) -> None:
    with paged(guests) as page:
        assert 'role="alert"' not in page.get("/").text
        guests.edit("=lower(email)", "=lowr(email)")
        page.post("/run", job="guests", run="", **BY)
        page.wait_until("/", "cannot be used")


def test_options_that_would_open_the_page_to_others_are_refused(guests: Deployment) -> None:
    (guests.folder / "short.token").write_text("short\n", encoding="utf-8")
    for more in (
        ("--page", "[::]:0"),
        ("--page", "nonsense"),
        ("--page", "--once"),
        ("--page", "--page-token-file", "missing.token"),
        ("--page", "--page-token-file", "short.token"),
        ("--page-allow-host", "sync.example"),
    ):
        guests.run("serve", *more, expect=2)
        assert "page" in guests.shown()


def test_commands_of_the_page_run_as_printed(guests: Deployment) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith("pip install")]
    assert len(lines) == 4
    assert shutil.which("openssl") is not None
    for line in lines:
        if not line.startswith("batchsync serve"):
            subprocess.run(["bash", "-c", line], cwd=guests.folder, check=True)
            continue
        words = re.sub(r"--page(?: [\d.]+:\d+)?(?= |$)", "", line.removeprefix("batchsync serve")).split()
        host = re.findall(r"--page ([\d.]+):", line) or ["127.0.0.1"]
        with paged(guests, f"--page={host[0]}:0", *words) as page:
            url = f"http://127.0.0.1:{page.url.rpartition(':')[2]}"
            names = {"Host": "sync.example"} if "sync.example" in line else {}
            token = guests.folder / "page.token"
            if "token" in line:
                assert requests.get(url, headers=names, timeout=30).status_code == 401
                names["Authorization"] = f"Bearer {token.read_text(encoding='utf-8').strip()}"
            if "X-Forwarded-User" in line:
                assert requests.get(url, headers=names, timeout=30).status_code == 401
                names["X-Forwarded-User"] = "ann"
            assert requests.get(url, headers=names, timeout=30).status_code == 200
