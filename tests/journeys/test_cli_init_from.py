"""`batchsync init --from`: a mapping proposed by the names and values of the columns of a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from kit.mapping_tests import TestFolder

if TYPE_CHECKING:
    from pathlib import Path

ROWS: list[dict[str, Any]] = [
    {
        "customer_id": f"K{number:03d}",
        "given_name": name,
        "surname": "O'NEIL-ROTH",
        "E-Mail Address": f"{name}.Roth@Example.org",
        "dob": f"{number % 28 + 1}/12/1985",
        "sex": "f" if number % 2 else "m",
        "Country Code": "nz",
        "zip": f"0{number:04d}",
        "mobile phone": f"+64 9 {number:06d}",
        "shoe": number,
    }
    for number, name in enumerate(["ANNA", "BO", "CY", "DÓRA"] * 5)
]


@pytest.fixture
def folder(tmp_path: Path) -> TestFolder:
    return TestFolder(tmp_path)


def proposed(folder: TestFolder, file: str, *more: str, vendor: str = "sitecore-cdp") -> dict[str, Any]:
    """Propose a mapping of a file in the folder; return the facts."""
    done = folder.run("-o", "json", "init", "--from", file, "--vendor", vendor, *more)
    found: dict[str, Any] = json.loads(done.stdout)["result"]
    return found


def write(folder: TestFolder, name: str, rows: list[dict[str, Any]]) -> None:
    """Write rows to a file of the format of its ending."""
    frame, path = pl.DataFrame(rows), folder.path / name
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_csv(path, separator=";" if path.suffix == ".txt" else ",")


@pytest.mark.parametrize("name", ["customers.csv", "customers.parquet", "customers.jsonl"])
def test_members_are_guessed_in_every_format(folder: TestFolder, name: str) -> None:
    write(folder, name, ROWS)

    found = proposed(folder, name)

    assert found["key"] == "customer_id"
    assert found["guessed"] == {
        "guestType": "customer",
        "firstName": "=initcap(given_name)",
        "lastName": "=initcap(surname)",
        "gender": "=CASE sex WHEN 'm' THEN 'male' WHEN 'f' THEN 'female' END",
        "dateOfBirth": "=to_date(dob, 'DD/MM/YYYY')",
        "email": '=lower("E-Mail Address")',
        "phoneNumbers": '="mobile phone"',
        "country": '=upper("Country Code")',
        "postCode": "=zip",
        "provider": "CRM",
        "id": "=customer_id",
    }
    assert found["unused"] == ["shoe"]
    text = folder.jobs.read_text(encoding="utf-8")
    record = text[text.index("    record:") : text.index("    on_removed:")].splitlines()[1:]
    assert [line for line in record if "# guessed: " not in line] == ["      # not used: shoe"]

    folder.run("validate")
    assert "2 tests, 2 passed" in folder.run("test").stdout
    assert "+ 20 adds" in folder.run("plan", "--mocks").stdout


def test_tests_have_synthetic_values_of_the_same_form(folder: TestFolder) -> None:
    write(folder, "customers.csv", ROWS)
    proposed(folder, "customers.csv")

    text = folder.jobs.read_text(encoding="utf-8")
    tests = text[text.index("    tests:") :]
    real = {str(value) for row in ROWS for name, value in row.items() if name not in {"sex", "Country Code", "shoe"}}
    assert [value for value in real if value in tests] == []
    assert "person1@example.com" in tests
    assert "gender: male" in tests
    assert 'dateOfBirth: "1980-' in tests


def test_existing_files_are_never_replaced(folder: TestFolder) -> None:
    write(folder, "customers.csv", ROWS)
    folder.jobs.write_text("mine", encoding="utf-8")
    options = ("init", "--from", "customers.csv", "--vendor", "sitecore-cdp")

    assert "jobs.yaml exists already; nothing was written" in folder.run(*options, expect=2).stderr
    assert "--force with --from" in folder.run(*options, "--force", expect=2).stderr
    assert folder.jobs.read_text(encoding="utf-8") == "mine"
    assert sorted(item.name for item in folder.path.iterdir()) == ["customers.csv", "jobs.yaml"]


def test_columns_that_do_not_fit_and_required_members_are_named(folder: TestFolder) -> None:
    rows = [
        {"order": f"O{number}", "orderdate": "soon", "total": "1.50", "Mail": "a@example.com"} for number in range(9)
    ]
    write(folder, "orders.csv", rows)

    found = proposed(folder, "orders.csv", "--schema", "order")

    assert found["guessed"]["price"] == "=CAST(total AS NUMERIC)"
    assert found["missing"]["orderedAt"] == "required, not guessed: orderdate: its values are no dates of a known form"
    assert found["missing"]["channel"].startswith("required, not found: one of AIRPORT_KIOSK")
    assert found["problems"] > 0
    text = folder.jobs.read_text(encoding="utf-8")
    assert "      # channel: required, not found: one of AIRPORT_KIOSK" in text
    assert 'order record has no "channel"' in folder.run("validate", expect=2).stderr


def test_lookup_of_vehicles(folder: TestFolder) -> None:
    write(folder, "cars.csv", [{"Fleet No": n, "Chassis": f" 1hgcm82633a{n:06d}", "Rego": f"A{n}"} for n in range(9)])

    found = proposed(folder, "cars.csv", vendor="motorweb-bdp")

    assert found["guessed"] == {"vin": "=trim(Chassis)", "plate": "=Rego"}
    assert found["key"] == "Fleet No"
    text = folder.jobs.read_text(encoding="utf-8")
    assert "target: {connection: motorweb, service: my-service} # guessed: name the service" in text
    assert "results: {path: out/cars.csv}" in text
    folder.run("validate")
    folder.run("test")


def test_column_without_a_name_is_no_key(folder: TestFolder) -> None:
    """Data frames are written with their index in a first column that has no name."""
    rows = "".join(f"{n}, 1hgcm82633a{n // 2:06d},blue\n" for n in range(8))
    (folder.path / "cars.csv").write_text(f",vin,color\n{rows}", encoding="utf-8")

    found = proposed(folder, "cars.csv", vendor="motorweb-bdp")

    assert (found["key"], found["problems"], found["unused"]) == ("vin", 0, ["color", ""])
    text = folder.jobs.read_text(encoding="utf-8")
    assert "its values repeat: name the columns that identify a row" in text
    assert "# not used: color, (no name)\n" in text
    folder.run("validate")


@pytest.mark.parametrize(
    ("content", "options", "code", "message"),
    [
        (None, (), 3, "people.csv"),
        ("", (), 3, "people.csv"),
        ("colour,size\nred,1\n", ("--vendor", "motorweb-bdp"), 2, "no column of people.csv fits a member of vehicle"),
        ("id\n1\n", ("--schema", "gest"), 2, 'did you mean "guest"?'),
        ("id\n1\n", ("--mode", "delete"), 2, "has no mode delete"),
        ("id\n1\n", ("--vendor", "acme"), 2, "no starter for vendor acme"),
    ],
)
def test_what_cannot_be_proposed_is_refused(
    folder: TestFolder, content: str | None, options: tuple[str, ...], code: int, message: str
) -> None:
    if content is not None:
        (folder.path / "people.csv").write_text(content, encoding="utf-8")
    vendor = () if "--vendor" in options else ("--vendor", "sitecore-cdp")

    done = folder.run("init", "--from", "people.csv", *vendor, *options, expect=code)

    assert message in done.stderr
    assert not folder.jobs.exists()


def test_hostile_names_and_values_give_a_valid_file(folder: TestFolder) -> None:
    names = ['e"mail', "a: b #c", "first\tname", "${HOME}", "=SUM(1)", "{x}, [y]", "Ünï"]
    lines = [",".join('"' + name.replace('"', '""') + '"' for name in names)]
    lines += [f'a{n}@example.com,"x: y # {n}",ANNA,"${{HOME}}",=1,"[{n}]",{n}' for n in range(5)]
    (folder.path / "hostile file.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    found = proposed(folder, "hostile file.csv")

    assert found["guessed"]["email"] == '="e""mail"'
    folder.run("validate")
    folder.run("test")


def test_other_delimiter_and_empty_table(folder: TestFolder) -> None:
    write(folder, "people.txt", [{"id": n, "email": f"a{n}@example.com"} for n in range(3)])
    (folder.path / "people.txt").rename(folder.path / "people.csv")
    assert proposed(folder, "people.csv")["guessed"]["email"] == "=email"
    assert 'delimiter: ";"' in folder.jobs.read_text(encoding="utf-8")
    folder.run("test")

    for name in ("jobs.yaml", "jobs.schema.json"):
        (folder.path / name).unlink()
    (folder.path / "people.csv").write_text("id,email\n", encoding="utf-8")
    assert proposed(folder, "people.csv")["problems"] == 0
    folder.run("validate")
