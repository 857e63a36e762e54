"""Values of environment variables are in no message, wherever in jobs.yaml a reference stands and whatever is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from batchsync.cli.root import main
from batchsync.errors import SourceError, SpecError, hide_values, show_values, without_values
from batchsync.spec import load, render_problem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.spec.conftest import Workshop

#: A file with every key; @ marks each place of a reference.
FULL = """\
version: @1
threads: @4
memory: @small
state: {required: @true}
connections:
  crm:
    vendor: @sitecore-cdp
    base_url: @https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${CRM_KEY}", api_token: "${CRM_TOKEN}"}
    ca_bundle: @certs.pem
    poll_every: @30s
    deadline: @2d
    retry_for: @36h
    in_flight: @2
    renamed_from: @[]
  cars:
    vendor: motorweb-bdp
    credentials: {client_id: "${CARS_ID}", client_secret: "${CARS_SECRET}"}
jobs:
  guests:
    source:
      path: @guests.csv
      format: @csv
      delimiter: @","
      encoding: @utf-8
      key: @id
      nulls: [@"-"]
      where: @id <> ''
      duplicates: @fail
      join: [{path: @cities.csv, on: @city}]
    target: {connection: @crm, schema: @guest}
    mode: @upsert
    send: @changed
    on_null: @leave_out
    on_removed: @delete
    record:
      guestType: @customer
      email: @nn@example.com
      dateOfBirth: @"1985-12-24T00:00Z"
      identifiers: [{provider: @CRM, id: =id}]
    guards: {max_remove: @5%, max_change: @5%, max_invalid: @5, min_rows: @1, removals_after_edit: @hold}
    budget: {invalid: @5, rejected: @1%}
    schedule: {cron: @0 2 * * *, timezone: @Pacific/Auckland}
    depends_on: [@checks]
    compression: @fast
    renamed_from: @[]
  checks:
    source: {path: cars.csv, key: [@plate, state]}
    target: {connection: cars, service: @Vehicle ID}
    mode: lookup
    send: {since: @updated}
    record: {plate: =plate, state: =state}
    results: {path: @out/checks.csv, format: @csv, on_removed: @keep}
    schedule: {every: @15m}
  later:
    source: {job: @checks, key: plate}
    target: {connection: crm, schema: guest}
    mode: upsert
    record: {guestType: customer, identifiers: [{provider: CRM, id: =plate}]}
"""
PLACE = re.compile(r"@(\"[^\"]*\"|\[\]|[^,\]}\n]+)")
COUNT = len(re.findall(r"@", FULL.replace("nn@example", "")))
VALUES = (
    "Sekret!Value/with'quotes\"and\\slashes",
    "../../etc/hunter2-shadow",
    "https://hunter2-host.example.com/hunter2-path",
    "~hunter2user/hunter2",
    "h u n t e r two hunter2",
    "hunter2" * 30,
    "hunter2[*]?",
)


def text_with(index: int, reference: str) -> str:
    """Return the full file with a reference in one place."""
    marked = FULL.replace("nn@example", "nn(at)example")
    places = [match.span() for match in PLACE.finditer(marked)]
    begin, end = places[index]
    text = marked[:begin] + "\0" + marked[end:]
    return text.replace("@", "").replace("(at)", "@").replace("\0", f'"{reference}"')


def pieces(value: str) -> set[str]:
    """Return the parts of a value that no message may have."""
    return {part for part in re.findall(r"[\w!]{5,}", value) if "unter2" in part or "ekret" in part}


def without_lines(workshop: Workshop, text: str, environ: dict[str, str]) -> str:
    """Return everything that is shown about a file: its problems, or nothing if it is valid."""
    workshop.path.write_text(text, encoding="utf-8")
    try:
        load(workshop.path, environ=environ)
    except SpecError as error:
        return "\n".join([*map(render_problem, error.problems), error.hint, repr(error.problems)])
    return ""


def test_every_place_has_a_reference() -> None:
    assert COUNT == len(list(PLACE.finditer(FULL.replace("nn@example", "nn(at)example")))) > 45


@pytest.mark.parametrize("form", ["${SECRET}", "x${SECRET}y", "a/${SECRET:-default}/b.csv"])
@pytest.mark.parametrize("value", VALUES)
def test_value_is_in_no_problem(workshop: Workshop, value: str, form: str) -> None:
    for index in range(COUNT):
        text = text_with(index, form)
        shown = without_lines(workshop, text, {"SECRET": value}).casefold()
        assert not [part for part in pieces(value) if part.casefold() in shown], (index, shown)


@pytest.mark.parametrize("short", ["e", "upd", "12"])
def test_short_value_is_not_quoted_and_words_stay_whole(workshop: Workshop, short: str) -> None:
    text = workshop.changed(("mode: upsert", 'mode: "${SECRET}"'))
    (problem,) = workshop.problems(text, {"SECRET": short})
    assert 'sitecore-cdp does not support mode "${SECRET}"' in problem


SOURCE_PROBLEMS = {
    "missing file": 'path: "${SECRET}/x.csv", key: id',
    "missing glob": 'path: "${SECRET}/*.csv", key: id',
    "long path": 'path: "${SECRET}${SECRET}${SECRET}${SECRET}${SECRET}${SECRET}${SECRET}${SECRET}.csv", key: id',
    "unknown key column": 'path: good.csv, key: "${SECRET}"',
    "unknown joined column": 'path: good.csv, key: id, join: [{path: good.csv, on: "${SECRET}"}]',
    "missing joined file": 'path: good.csv, key: id, join: [{path: "${SECRET}.csv", on: id}]',
    "unknown column of duplicates": 'path: good.csv, key: id, duplicates: {by: "${SECRET}"}',
}


@pytest.mark.parametrize("name", SOURCE_PROBLEMS)
@pytest.mark.parametrize("value", ["./hunter2-folder", "hunter2//folder's/./x"])
def test_value_is_in_no_error_about_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    (tmp_path / "good.csv").write_text("id,email\n1,a@example.com\n", encoding="utf-8")
    (tmp_path / "jobs.yaml").write_text(
        "version: 1\n"
        "connections: {crm: {vendor: sitecore-cdp, base_url: 'https://api-engage-eu.sitecorecloud.io',"
        ' credentials: {client_key: "${K}", api_token: "${T}"}}}\n'
        f"jobs:\n  guests:\n    source: {{{SOURCE_PROBLEMS[name]}}}\n"
        "    target: {connection: crm, schema: guest}\n    mode: upsert\n"
        "    record: {guestType: customer, email: =email, identifiers: [{provider: CRM, id: =id}]}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("SECRET", value)
    monkeypatch.setenv("BATCHSYNC_FILE", str(tmp_path / "jobs.yaml"))
    monkeypatch.setenv("BATCHSYNC_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("K", "key")
    for command in ("validate", "plan"):
        with pytest.raises(SystemExit):
            main([command])
        captured = capsys.readouterr()
        shown = captured.out + captured.err
        assert "hunter2" not in shown
        assert "${SECRET}" in shown


def test_errors_after_the_app_was_closed_show_values_again() -> None:
    hide_values({"some-value-1": "${NAME}"})
    assert SourceError("no file some-value-1.csv", hint="look at SOME-value-1").message == "no file ${NAME}.csv"
    assert SourceError("x", hint="look at SOME-value-1").hint == "look at ${NAME}"
    show_values(["some-value-1"])
    assert SourceError("no file some-value-1.csv").message == "no file some-value-1.csv"


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("run `batchsync sync` in data", "sync", "run `batchsync sync` in data"),
        ("metadata of data/x.csv", "data", "metadata of ${V}/x.csv"),
        ("metadatadata", "metadata", "${V}data"),
        ("/srv/a/x", "/srv//a/", "${V}/x"),
        ("abc", "abc", "abc"),
        ("a\\b", "zzzz", "a\\b"),
    ],
)
def test_values_are_replaced_as_whole_words_unless_they_are_long(text: str, value: str, expected: str) -> None:
    assert without_values(text, {value: "${V}"}) == expected
