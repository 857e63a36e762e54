"""Limits of an account hold across processes and restarts; the mock of the vendor is the judge."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

MINUTE, DAY = 60, timedelta(days=1)
SECOND_JOB = """\
  people:
    source: {path: people.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record:
      guestType: customer
      email: =lower(email)
      identifiers: [{provider: CRM, id: =id}]
    budget: {invalid: 5, rejected: 5}
"""


def limited(deployment: Deployment, limits: str, in_flight: int = 1) -> None:
    """Give the connection of guests limits, and add a job of the same account."""
    new = f"    limits: {limits}\n    in_flight: {in_flight}\n    base_url: https://api-engage-eu"
    deployment.edit("    base_url: https://api-engage-eu", new)
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8") + SECOND_JOB, encoding="utf-8")
    rows = (deployment.folder / "guests.csv").read_text(encoding="utf-8")
    (deployment.folder / "people.csv").write_text(rows.replace("G", "P"), encoding="utf-8")


def alternately(deployment: Deployment) -> None:
    """Sync both jobs by processes one after the other, and again after an edit of some rows."""
    for number in range(2):
        for job in ("guests", "people"):
            deployment.run("sync", job)
        for file in ("guests.csv", "people.csv"):
            deployment.edit(f"guest {number + 1},", f"changed {number},", file)


def calls(deployment: Deployment) -> list[float]:
    """Return when the API of the vendor was called, without its storage."""
    return sorted(request["at"] for request in deployment.mocks.requests() if request["path"].startswith("/v2/"))


def most_in_window(times: list[float], seconds: float) -> int:
    return max(sum(at <= other < at + seconds for other in times) for at in times)


def test_calls_of_processes_stay_within_the_minute(deployment: Deployment) -> None:
    limited(deployment, "{calls_per_minute: 6}", in_flight=2)

    alternately(deployment)

    assert len(calls(deployment)) > 12
    assert most_in_window(calls(deployment), MINUTE) == 6


def test_rows_of_processes_stay_within_the_day(deployment: Deployment) -> None:
    limited(deployment, "{rows_per_day: 20}", in_flight=5)

    alternately(deployment)

    batches = deployment.mocks.batches(CDP)
    sent = [(datetime.fromisoformat(item["createdAt"]), item["counts"]["read"]) for item in batches]
    assert sum(rows for _, rows in sent) == 59
    for at, _ in sent:
        assert sum(rows for other, rows in sent if at <= other < at + DAY) <= 20


def test_limit_is_no_error_and_says_until_when_it_lasts(deployment: Deployment) -> None:
    limited(deployment, "{rows_per_day: 20}", in_flight=5)

    expected = deployment.json("plan", "guests")["jobs"][0]["expected"]
    deployment.run("sync", "guests", "--no-wait", expect=5)

    assert (expected["days"], expected["batch_files"]) == (2, 2)
    assert (expected["day_limit"], expected["day_limit_from"]) == ("20 rows", "connection")
    assert re.search(r"waits for the limit of 20 rows a day until \d{4}-", deployment.shown())
    deployment.run("resume", "guests")
    assert len(deployment.delivered(CDP)) == 29

    # The next plan knows how long these batches took.
    deployment.edit("guest 1,", "changed 1,", "guests.csv")
    text = deployment.run("plan", "guests", "--limit", "0")
    assert "by 29 records in past batches of this job" in text
    assert re.search(r"expected time: about .+ at the vendor: 1 batch \(by 2 past batches of this job", text)


def test_job_without_calls_left_waits_for_the_next_day(deployment: Deployment) -> None:
    """The first call of a job describes its target."""
    limited(deployment, "{calls_per_day: 1000}")
    deployment.run("sync", "guests")
    used = len(calls(deployment))
    deployment.edit("calls_per_day: 1000", f"calls_per_day: {used}")
    deployment.run("sync", "people", "--no-wait", expect=5)
    limit = f"limit of {used} calls a day"
    assert f"the {limit} of the account is reached; it has calls again at 20" in deployment.shown()
    assert "BS-R005" in deployment.shown()
    assert f"people: waits for the {limit} until 20" in deployment.shown()
    deployment.run("sync", "people", "--timeout", "30m", expect=5)
    deployment.run("sync", "people")
    assert most_in_window(calls(deployment), DAY.total_seconds()) == used


def test_invalid_limit_is_refused_with_its_place(deployment: Deployment) -> None:
    limited(deployment, "{calls_per_minute: 0, rows: 5}")

    deployment.run("validate", expect=2)

    assert re.search(r"jobs\.yaml:9:\d+: \"calls_per_minute\" is out of bounds", deployment.shown())
    assert "unknown key" in deployment.shown()
