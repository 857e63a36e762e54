"""Journeys of local files in other forms than plain text; the vendor's ledger shows which rows arrived."""

from __future__ import annotations

import bz2
import io
import os
import pty
import signal
import subprocess
import time
import zipfile
from typing import TYPE_CHECKING

import openpyxl
import pyarrow as pa
import pytest

from kit.deployment import CDP, Deployment

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
jobs:
  guests:
    source: {SOURCE, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =id}]}
"""
GUESTS = "id,name\n1,Ada\n2,Bo\n3,Cy\n"


def declare(deployment: Deployment, source: str) -> None:
    """Write a jobs.yaml with one job of this source."""
    (deployment.folder / "jobs.yaml").write_text(JOBS.replace("SOURCE", source), encoding="utf-8")


def names(deployment: Deployment) -> list[str]:
    """Return the names that the vendor has received, from its ledger."""
    return sorted(entry["value"]["lastName"] for entry in deployment.mocks.ledger(CDP, values=True))


def _zip(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/guests.csv", content)
    return out.getvalue()


def _zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("ending", "pack"), [("zip", _zip), ("zst", _zstd), ("bz2", bz2.compress)], ids=["zip", "zst", "bz2"]
)
def test_compressed_file_is_delivered_like_the_plain_one(
    deployment: Deployment, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    declare(deployment, f"path: guests.csv.{ending}")
    file = deployment.folder / f"guests.csv.{ending}"
    file.write_bytes(pack(GUESTS.encode()))
    assert deployment.run("validate")
    deployment.run("sync")
    assert names(deployment) == ["Ada", "Bo", "Cy"]
    declare(deployment, "path: guests.csv")
    (deployment.folder / "guests.csv").write_text(GUESTS, encoding="utf-8")
    assert "unchanged 3" in deployment.run("sync")

    declare(deployment, f"path: guests.csv.{ending}")
    file.write_bytes(pack(GUESTS.encode())[:-5])
    deployment.run("sync", expect=3)
    assert f"guests.csv.{ending} is truncated or damaged" in deployment.shown()
    assert names(deployment) == ["Ada", "Bo", "Cy"]


PIPED = 'path: "-", format: csv'


def piped(deployment: Deployment, *arguments: str, data: bytes | int, expect: int = 0) -> str:
    """Run batchsync with this standard input, or descriptor of it, and return what it printed."""
    given = {"input": data} if isinstance(data, bytes) else {"stdin": data}
    command, environ = deployment.command(*arguments), deployment.environ()
    done = subprocess.run(
        command, cwd=deployment.folder, env=environ, capture_output=True, timeout=60, check=False, **given
    )
    shown = (done.stdout + done.stderr).decode()
    assert done.returncode == expect, shown
    assert "Traceback" not in shown
    return shown


def landed(deployment: Deployment) -> list[str]:
    """Return the files in the state folder into which standard input was copied."""
    return [str(path) for path in deployment.folder.glob(".batchsync/**/standard-input")]


@pytest.mark.parametrize("pack", [bytes, bz2.compress, _zip], ids=["plain", "bz2", "zip"])
def test_standard_input_is_delivered_and_compared_like_a_file(
    deployment: Deployment, pack: Callable[[bytes], bytes]
) -> None:
    declare(deployment, PIPED)
    assert "guests: not checked: its source is standard input" in deployment.run("validate")
    assert "3" in piped(deployment, "plan", data=pack(GUESTS.encode()))
    assert names(deployment) == []
    piped(deployment, "sync", data=pack(GUESTS.encode()))
    assert names(deployment) == ["Ada", "Bo", "Cy"]
    piped(deployment, "sync", data=pack(GUESTS.replace("Bo", "Bob").encode()))
    assert names(deployment) == ["Ada", "Bo", "Bob", "Cy"]
    assert landed(deployment) == []
    declare(deployment, "path: guests.csv")
    (deployment.folder / "guests.csv").write_text(GUESTS.replace("Bo", "Bob"), encoding="utf-8")
    assert "unchanged 3" in deployment.run("sync")


def test_standard_input_may_be_a_file_and_of_any_format(deployment: Deployment) -> None:
    declare(deployment, 'path: "-", format: jsonl')
    file = deployment.folder / "guests"
    file.write_text("".join(f'{{"id":"{n}","name":"N{n}"}}\n' for n in range(5)), encoding="utf-8")
    with file.open("rb") as stream:
        piped(deployment, "sync", "guests", data=stream.fileno())
    assert names(deployment) == ["N0", "N1", "N2", "N3", "N4"]


@pytest.mark.parametrize("command", ["plan", "sync"])
def test_terminal_and_empty_input_are_refused(deployment: Deployment, command: str) -> None:
    declare(deployment, PIPED)
    parent, child = pty.openpty()
    shown = piped(deployment, command, data=child, expect=3)
    os.close(parent)
    os.close(child)
    assert "standard input is a terminal, and nothing is piped into the command" in shown
    assert "batchsync sync NAME < guests.csv" in shown
    assert "standard input is empty" in piped(deployment, command, data=b"", expect=3)
    assert "standard input is empty" in piped(deployment, command, data=subprocess.DEVNULL, expect=3)
    unreadable = os.open(os.devnull, os.O_WRONLY)
    assert "standard input cannot be copied" in piped(deployment, command, data=unreadable, expect=3)
    os.close(unreadable)
    assert names(deployment) == []


@pytest.mark.parametrize("content", [b"id,name\n1,Ada\n2\n", b"id,name\n1,Ada\n2,\xff\n"])
def test_error_in_standard_input_names_the_line(deployment: Deployment, content: bytes) -> None:
    declare(deployment, PIPED)
    assert "standard-input:3" in piped(deployment, "sync", data=content, expect=3)
    assert names(deployment) == []


def test_two_jobs_that_read_standard_input_are_refused_together_and_run_alone(deployment: Deployment) -> None:
    declare(deployment, PIPED)
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    job = text[text.index("  guests:") :]
    file.write_text(text + job.replace("guests:", "others:").replace("CRM", "ERP"), encoding="utf-8")
    for command in ("plan", "sync"):
        shown = piped(deployment, command, data=GUESTS.encode(), expect=2)
        assert "guests and others read standard input, which can be read once only" in shown
    assert names(deployment) == []
    piped(deployment, "sync", "others", data=GUESTS.encode())
    piped(deployment, "sync", "guests", data=GUESTS.encode())
    assert names(deployment) == ["Ada", "Ada", "Bo", "Bo", "Cy", "Cy"]


@pytest.mark.parametrize(
    ("source", "more", "place", "message"),
    [
        ('path: "-"', "", "jobs.yaml:9:20", "standard input has no ending that says its format"),
        ('path: guests.csv, join: [{path: "-", on: id}]', "", "jobs.yaml:9:46", "a join with standard input"),
        (PIPED, "    schedule: {every: 1h}\n", "jobs.yaml:13:5", '"schedule" in a job that reads standard input'),
    ],
)
def test_standard_input_where_it_cannot_be_read_is_refused(
    deployment: Deployment, source: str, more: str, place: str, message: str
) -> None:
    declare(deployment, source)
    with (deployment.folder / "jobs.yaml").open("a", encoding="utf-8") as file:
        file.write(more)
    deployment.run("validate", expect=2)
    assert place in deployment.shown()
    assert message in deployment.shown()


def test_file_called_dash_is_read_as_a_file(deployment: Deployment) -> None:
    declare(deployment, 'path: "./-", format: csv')
    (deployment.folder / "-").write_text(GUESTS, encoding="utf-8")
    deployment.run("sync")
    assert names(deployment) == ["Ada", "Bo", "Cy"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_process_that_ends_while_it_copies_sends_nothing(deployment: Deployment, number: int, code: int) -> None:
    declare(deployment, PIPED)
    process = subprocess.Popen(
        deployment.command("sync"),
        cwd=deployment.folder,
        env=deployment.environ(),
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(GUESTS.encode())
    process.stdin.flush()
    ends = time.monotonic() + 30
    while not landed(deployment):
        assert time.monotonic() < ends
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(timeout=30) == code
    process.stdin.close()
    assert names(deployment) == []
    piped(deployment, "sync", data=GUESTS.encode())
    assert names(deployment) == ["Ada", "Bo", "Cy"]
    assert landed(deployment) == []


def test_run_in_flight_is_resumed_without_input(deployment: Deployment) -> None:
    declare(deployment, PIPED)
    piped(deployment, "sync", "--no-wait", data=GUESTS.encode(), expect=5)
    deployment.run("resume")
    assert names(deployment) == ["Ada", "Bo", "Cy"]
    piped(deployment, "sync", data=GUESTS.encode())
    assert names(deployment) == ["Ada", "Bo", "Cy"]


def workbook(deployment: Deployment, *rows: tuple[object, ...]) -> None:
    """Write a workbook with a title, a table, and a second sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Guests"
    sheet.append(["Guests of May"])
    sheet.append([])
    for row in [("id", "name"), *rows]:
        sheet.append(row)
    book.create_sheet("Notes").append(["nothing"])
    book.save(deployment.folder / "book.xlsx")


def test_sheet_of_a_workbook_is_delivered_and_compared_like_a_csv_file(deployment: Deployment) -> None:
    declare(deployment, 'path: book.xlsx, sheet: Guests, range: "A3:B"')
    workbook(deployment, (1, "Ada"), (2, "Bo"), (3, "Cy"))
    deployment.run("validate")
    deployment.run("sync")
    assert names(deployment) == ["Ada", "Bo", "Cy"]
    workbook(deployment, (1, "Ada"), (2, "Bob"), (3, "Cy"))
    deployment.run("sync")
    assert names(deployment) == ["Ada", "Bo", "Bob", "Cy"]
    declare(deployment, "path: guests.csv")
    (deployment.folder / "guests.csv").write_text(GUESTS.replace("Bo", "Bob"), encoding="utf-8")
    assert "unchanged 3" in deployment.run("sync")

    declare(deployment, 'path: book.xlsx, sheet: Guests, range: "A3:B"')
    workbook(deployment, (1, "Ada"), (2, "#N/A"))
    deployment.run("sync", expect=3)
    assert "sheet 'Guests', B5: the cell has the error #N/A" in deployment.shown()
    assert names(deployment) == ["Ada", "Bo", "Bob", "Cy"]


def test_workbook_through_standard_input_with_blank_row_keeps_row_numbers(deployment: Deployment) -> None:
    declare(deployment, 'path: "-", format: excel, sheet: Guests, range: "A3:B"')
    workbook(deployment, (1, "Ada"), (None, None), (None, "Bo"), (3, "Cy"))
    piped(deployment, "sync", data=(deployment.folder / "book.xlsx").read_bytes(), expect=4)
    assert names(deployment) == ["Ada", "Cy"]
    assert '"row": 3' in deployment.run("-o", "json", "rejects").replace("source_row", "row")


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ("path: book.xls", "jobs.yaml:9:20", "a .xls workbook, whose cells with errors"),
        ("path: book.xlsb", "jobs.yaml:9:20", "a .xlsb workbook, whose cells with errors"),
        ("path: book.ods", "jobs.yaml:9:20", "a .ods workbook, whose cells with errors"),
        ("path: guests.csv, sheet: Guests", "jobs.yaml:9:39", '"sheet" without a workbook'),
        ("path: book.xlsx, skip_rows: 2", "jobs.yaml:9:42", '"skip_rows" with a excel file'),
        ('path: book.xlsx, range: "B7"', "jobs.yaml:9:38", "invalid range of cells"),
    ],
)
def test_keys_that_do_not_fit_a_workbook_are_refused(
    deployment: Deployment, source: str, place: str, message: str
) -> None:
    declare(deployment, source)
    deployment.run("validate", expect=2)
    assert place in deployment.shown()
    assert message in deployment.shown()
