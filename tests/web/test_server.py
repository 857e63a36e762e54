"""The server of the page over real HTTP: probes, headers, sign-in, forms, exports, and errors."""

from __future__ import annotations

import csv
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import requests
from journal_samples import LATER, NOW, make_batch, make_run

from batchsync.core.batch import Phase
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import ExitCode, UnavailableError, UsageError
from batchsync.ports import BatchChanged, JobFinished, JobsReloaded, JobsReloadFailed, Reject
from batchsync.reconcile.orders import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.journal import Journal
    from conftest import Serve, Served

RELOADED = JobsReloaded(file="jobs.yaml", secrets=False, jobs=(), removed=(), scheduled=True)
WORD = "0123456789abcdef"
ORDER = {"job": "guests", "run": "guests-1", "plan": "p", "name": "Ann", "reason": "reviewed"}


def get(served: Served, path: str, **headers: str) -> requests.Response:
    return requests.get(served.url + path, headers=headers, timeout=30, allow_redirects=False)


def post(served: Served, path: str, fields: dict[str, str], **headers: str) -> requests.Response:
    sent = {"Origin": served.url} | headers
    return requests.post(served.url + path, fields, headers=sent, timeout=30, allow_redirects=False)


def reject(number: int, key: str = "") -> Reject:
    return Reject(
        kind=RowOutcome.INVALID,
        key=key or f"K{number}",
        reason="email must be an e-mail address, is 'ann@'",
        code="format",
        field="email",
        line=0,
        row=number,
        retry=False,
    )


def fill(journal: Journal, rejects: int = 3) -> None:
    """Begin a run with a batch and some rejects."""
    run = make_run()
    journal.start_run(run, [make_batch(run)], [[reject(number) for number in range(1, rejects + 1)]])


def test_probes_need_no_access_and_have_no_data(serve: Serve) -> None:
    with serve(token=WORD) as served:
        assert get(served, "/healthz", Host="10.1.2.3").status_code == 200
        assert get(served, "/readyz").status_code == 503
        served.loop.health.loaded = True
        assert (get(served, "/readyz").status_code, get(served, "/readyz").text) == (200, "ok\n")
        served.loop.seconds = 86_400.0
        assert get(served, "/healthz").status_code == 503


def test_pages_are_private_and_run_no_foreign_script(serve: Serve) -> None:
    with serve() as served:
        fill(served.journal)
        for path in ("/", "/jobs/guests", "/runs/guests-1", "/rejects?job=guests", "/why", "/history", "/nothing"):
            found = get(served, path)
            assert "script-src 'self';" in found.headers["Content-Security-Policy"]
            assert found.headers["Cache-Control"] == "no-store"
            assert found.headers["X-Content-Type-Options"] == "nosniff"
            assert " style=" not in found.text
            assert " onclick" not in found.text
        assert get(served, "/", Host="evil.example").status_code == 421
        assert requests.put(served.url, timeout=30).status_code == 405
        assert get(served, "/static/../server.py").status_code == 404


def test_token_is_asked_for(serve: Serve) -> None:
    with serve(token=WORD, documents={"/metrics": lambda: (b"up 1\n", "text/plain")}) as served:
        assert get(served, "/").status_code == 401
        assert get(served, "/metrics").status_code == 401
        assert get(served, "/metrics", Authorization=f"Bearer {WORD}").content == b"up 1\n"
        asked = get(served, "/jobs/guests", Accept="text/html")
        assert (asked.status_code, asked.headers["Location"]) == (303, "/login?next=%2Fjobs%2Fguests")
        assert "Token of the page" in get(served, "/login").text
        assert post(served, "/login", {"token": "wrong"}).status_code == 401
        done = post(served, "/login", {"token": WORD, "next": "//evil.example"})
        assert (done.status_code, done.headers["Location"]) == (303, "/")
        cookie = done.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert get(served, "/", Cookie=cookie.partition(";")[0]).status_code == 200
        assert WORD not in get(served, "/", Cookie=cookie.partition(";")[0]).text
        post(served, "/logout", {}, Cookie=cookie.partition(";")[0])
        assert get(served, "/", Cookie=cookie.partition(";")[0]).status_code == 401


def test_name_of_the_proxy_counts_more_than_a_field(serve: Serve) -> None:
    with serve(trusted_header="X-User") as served:
        assert get(served, "/").status_code == 401
        assert post(served, "/run", ORDER | {"name": "Eve"}, **{"X-User": "ann"}).status_code == 303
        assert served.loop.orders[0].name == "ann"


@pytest.mark.parametrize(
    "verb", ["approve", "resolve", "collect", "resume", "run", "plan", "values", "logout", "login"]
)
def test_form_of_another_site_changes_nothing(serve: Serve, verb: str) -> None:
    with serve() as served:
        assert post(served, f"/{verb}", ORDER, Origin="http://evil.example").status_code == 403
        assert post(served, f"/{verb}", ORDER, Origin="null").status_code == 403
        assert requests.post(f"{served.url}/{verb}", ORDER, timeout=30).status_code == 403
        assert served.loop.orders == []


def test_order_needs_name_and_reason(serve: Serve) -> None:
    with serve() as served:
        for missing in ("name", "reason", "job"):
            assert post(served, "/approve", ORDER | {missing: " " if missing != "job" else ""}).status_code == 422
        assert post(served, "/resolve", ORDER).status_code == 422
        assert post(served, "/approve", {"reason": "x" * 70_000}).status_code == 422
        assert served.loop.orders == []
        assert post(served, "/approve", ORDER | {"send": "yes"}).headers["Location"] == "/jobs/guests?done=approve"
        (order,) = served.loop.orders
        assert (order.verb, order.plan, order.send, order.words) == (
            "approve",
            "p",
            True,
            "reviewed (Ann, on the page)",
        )


def test_stale_or_refused_order_is_explained(serve: Serve) -> None:
    with serve() as served:
        served.loop.reply = Reply(sentence="Decided after the page was read.", stale=True)
        stale = post(served, "/approve", ORDER)
        assert (stale.status_code, "Nothing was changed" in stale.text) == (409, True)
        served.loop.reply = UsageError("the batch is delivered", hint="`batchsync status`")
        refused = post(served, "/collect", ORDER)
        assert (refused.status_code, "the batch is delivered" in refused.text) == (422, True)
        served.loop.reply = Reply(sentence="Not served here.", done=False)
        assert post(served, "/run", ORDER).status_code == 422


def test_values_are_masked_until_asked_for(serve: Serve) -> None:
    with serve() as served:
        run = make_run()
        served.journal.start_run(run, [make_batch(run)], [[reject(1), reject(2, "ann@example.com")]])
        path = "/rejects?job=guests"
        page = get(served, path).text
        assert "ann@" not in page
        assert "email must be an e-mail address" in page
        assert "Show values of rows" in get(served, f"{path}&values=1").text
        done = post(served, "/values", {"next": f"{path}&values=1", "show": "yes"})
        cookie = done.headers["Set-Cookie"].partition(";")[0]
        shown = get(served, f"{path}&values=1", Cookie=cookie).text
        assert shown.count("ann@") == 1
        assert "ann@" not in get(served, path, Cookie=cookie).text
        assert "ann@example.com" not in get(served, "/rejects.csv?job=guests&values=1", Cookie=cookie).text


def test_rejects_are_searched_and_exported_whole(serve: Serve) -> None:
    with serve() as served:
        fill(served.journal, 4_500)
        rows = list(csv.DictReader(get(served, "/rejects.csv?job=guests").text.splitlines()))
        assert [row["key"] for row in rows] == [f"K{number}" for number in range(1, 4_501)]
        assert len(json.loads(get(served, "/rejects.json?job=guests&key=K44").text)) == 111
        assert json.loads(get(served, "/rejects.json?job=guests&kind=rejected").text) == []
        assert get(served, "/rejects.xml").status_code == 404
        page = get(served, "/rejects?job=guests&key=K44").text
        assert "K4480" in page
        assert "K4399" not in page
        assert "after=100" in get(served, "/rejects?job=guests").text
        for odd in ("after=-1", "after=9999999999999999999", "kind=x", "run=none", "code=%27", "key=%00"):
            assert get(served, f"/rejects?job=guests&{odd}").status_code == 200


def test_missing_pages_are_not_found(serve: Serve) -> None:
    with serve() as served:
        for path in ("/jobs/none", "/runs/none-1", "/batches/none", "/jobs/%3Cscript%3E", "/why?key=K1"):
            found = get(served, path)
            assert found.status_code == 404
            assert "<script>" not in found.text
        assert served.warnings == []


def test_unreadable_state_is_reported(serve: Serve) -> None:
    with serve() as served:
        served.journal.close()
        (served.loop.state_folder / "journal.db").write_bytes(b"no database, but as long as one" * 100)
        found = get(served, "/")
        assert (found.status_code, "This cannot be shown now" in found.text) == (503, True)


def test_port_in_use_is_an_error(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match="cannot be used"), serve(port=port):
            pass


def test_changes_are_streamed_and_a_slow_reader_reloads(serve: Serve) -> None:
    with serve() as served, requests.get(f"{served.url}/events", stream=True, timeout=30) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines) == b"retry: 2000"
        run = make_run()
        served.loop.live.observe(BatchChanged(batch=make_batch(run)), NOW)
        assert _next_event(lines) == ("changed", {"at": "2026-11-22T02:00:00Z", "job": "guests", "run": "guests-1"})
        for _ in range(5_000):
            served.loop.live.observe(BatchChanged(batch=make_batch(run, phase=Phase.SUBMITTED)), LATER)
        _read_all(served, lines)
        served.journal.start_run(run, [make_batch(run)], [])
        assert _next_event_of(lines, {}) == "changed"


def _read_all(served: Served, lines: Iterator[bytes]) -> None:
    """Read all events that were emitted: a last one is, and again whenever it may be among those that were dropped."""
    last, emitted = "", 0
    while True:
        event, data = _next_event(lines)
        if event == "reload":
            emitted += 1
            at = LATER + timedelta(hours=emitted)
            last = f"{at:%Y-%m-%dT%H:%M:%SZ}"
            served.loop.live.observe(RELOADED, at)
        elif last and data == {"at": last}:
            return


def test_failures_of_jobs_and_of_the_jobs_file_are_shown(serve: Serve) -> None:
    with serve() as served:
        fill(served.journal)
        served.loop.live.observe(
            JobFinished(job="guests", exit_code=ExitCode.ENVIRONMENT, message="no such file: <b>"), NOW
        )
        assert "no such file: &lt;b&gt;" in get(served, "/").text
        failed = JobsReloadFailed(file="jobs.yaml", secrets=False, error={"message": "1 problem in the spec"})
        served.loop.live.observe(failed, NOW)
        assert "1 problem in the spec" in get(served, "/").text


def test_server_ends_while_browsers_listen(serve: Serve) -> None:
    with ThreadPoolExecutor(4) as pool:
        with serve() as served:
            streams = [pool.submit(requests.get, f"{served.url}/events", timeout=30) for _ in range(4)]
            get(served, "/")
        # How many had begun is a matter of timing.
        assert {stream.result().status_code for stream in streams if not stream.exception()} <= {200}


def _next_event(lines: Iterator[bytes]) -> tuple[str, dict[str, object]]:
    """Return name and data of the next event."""
    name = ""
    for line in lines:
        if line.startswith(b"event: "):
            name = line.removeprefix(b"event: ").decode()
        elif line.startswith(b"data: "):
            return name, json.loads(line.removeprefix(b"data: "))
    raise AssertionError("the stream ended")


def _next_event_of(lines: Iterator[bytes], data: dict[str, object]) -> str:
    """Return the name of the next event with this data."""
    while True:
        name, found = _next_event(lines)
        if found == data and name != "reload":
            return name
