"""Write the sample data of jobs.yaml: small tables, in files and a SQLite database, with rows of every outcome.

All persons are fictitious.

Run it as `python examples/generate.py [FOLDER]`; its output is deterministic. Most rows are valid. The others are
marked below: *invalid* rows are refused by batchsync before anything is sent, *rejected* rows by the vendor.
The mocks reserve a few values (`MCK404...`) that they reject.
"""

from __future__ import annotations

import csv
import hashlib
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = "a bill of lading"
Row = dict[str, str]


class Person(NamedTuple):
    """A customer, shared by guests and orders."""

    key: str
    first: str
    last: str
    email: str


FIRST = (
    "ZOFIE",
    "JOSÉ",
    "ÅSA",
    "MARIE-CLAIRE",
    "BJÖRN",
    "IMANI",
    "PAVLÍNA",
    "ŁUKASZ",
    "NOAM",
    "TE AROHA",
    "SÉAMUS",
    "YUKI",
)
LAST = (
    "SAMPLE",
    "PŘÍKLADOVÁ",
    "EXAMPLE",
    "DEMO",
    "O'SAMPLE",
    "PROBE-MUSTER",
    "VOORBEELD",
    "TESTOVÁ",
    "EJEMPLO",
    "FICTION",
)
OCCUPATIONS = (
    "Baker",
    "Lighthouse keeper",
    'Luthier, "by appointment"',
    "Cartographer 🗺️",
    "Professeur·e",
    "",
    "Tailor",
)
COUNTRIES = ("NZ", "AU", "CZ", "IE", "FR", "SE", "")
STATES = ("ACT", "NSW", "NT", "QLD", "SA", "TAS", "VIC", "WA")
CARS = (("Fictia", "Uno"), ("Fictia", "Due"), ("Nowhere", "Roadster"), ("Muster", "Kombi"), ("Exempel", "E-1 ⚡"))
PRODUCTS = (
    ("P-101", "Road helmet, red", "HELMET", 'Light, well vented, "one size"', "34.99"),
    ("P-102", "Road helmet, black", "HELMET", "Light, well vented", "33.64"),
    ("P-201", "Mountain socks", "CLOTHING", "Wool, 3 pairs", "9.50"),
    ("P-202", "Café jersey", "CLOTHING", "Merino\nwash cold", "49.99"),
    ("P-203", "Rain jacket 🌧️", "CLOTHING", "Packs into its own pocket", "89.00"),
    ("P-301", "Bottle, 0.7 l", "ACCESSORY", "Fits every cage", "4.99"),
    ("P-302", "Bottle cage", "ACCESSORY", "Aluminium", "8.99"),
    ("P-303", "Patch kit, 8 patches", "ACCESSORY", "Glueless", "2.29"),
    ("P-401", 'Touring bike 28"', "BIKE", "Steel frame, 27 gears", "1349.60"),
    ("P-402", "Folding bike", "BIKE", "Folds in 10 s", "742.35"),
    ("P-501", "Returned deposit", "CREDIT", "For empty crates", "-5.00"),
)

#: Levels of the loyalty programme: code, name, and points from which it begins.
LEVELS = (("B", "Bronze", 0), ("S", "Silver", 500), ("G", "Gold", 2000))
#: The database of the shop. The smallest pages make a small file.
SHOP = """
PRAGMA page_size = 512;
CREATE TABLE levels (code TEXT PRIMARY KEY, level TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE members (
    id INTEGER PRIMARY KEY, email TEXT NOT NULL, points INTEGER NOT NULL, level_code TEXT NOT NULL, left_on TEXT
);
"""


def pick(topic: str, number: int, count: int) -> int:
    """Return a pseudo-random number below `count`, determined by topic and number, in every version of Python."""
    return int.from_bytes(hashlib.sha256(f"{SEED}:{topic}:{number}".encode()).digest()[:6]) % count


def ascii_letters(text: str) -> str:
    """Return the lower-case ASCII letters of a name, for an e-mail address."""
    letters = str.maketrans("ÉÅÖÍŁÜÏŘÁ", "EAOILUIRA")
    return "".join(letter for letter in text.translate(letters).lower() if letter in "abcdefghijklmnopqrstuvwxyz")


def people() -> list[Person]:
    """Return 120 customers, numbered from C1001."""
    persons = []
    for number in range(120):
        first, last = FIRST[pick("first", number, len(FIRST))], LAST[pick("last", number, len(LAST))]
        email = f"{ascii_letters(first)}.{ascii_letters(last)}{number}@example.{('com', 'org', 'net')[number % 3]}"
        persons.append(Person(f"C{1001 + number}", first, last, email))
    return persons


def customers() -> list[Row]:
    """Return the rows of customers.csv."""
    rows = []
    for number, person in enumerate(people()):
        year, month, day = 1940 + pick("year", number, 65), 1 + pick("month", number, 12), 1 + pick("day", number, 28)
        row = {
            "CustomerKey": person.key,
            "ShopId": f"shop-{pick('shop', number, 10**6):06}",
            "Prefix": ("Mr", "Ms", "Mrs", "Dr", "")[pick("prefix", number, 5)],
            "FirstName": person.first,
            "LastName": person.last,
            "BirthDate": "" if number % 13 == 0 else f"{year}-{month:02}-{day:02}",
            "Gender": ("male", "female", "unknown")[pick("gender", number, 3)],
            "EmailAddress": person.email.upper() if number % 17 == 0 else person.email,
            "Phone": f"+640055501{number:02}" if number % 4 else "",
            "Country": COUNTRIES[pick("country", number, len(COUNTRIES))],
            "Occupation": OCCUPATIONS[pick("occupation", number, len(OCCUPATIONS))],
        }
        rows.append(row)
    # Invalid: malformed addresses, no key, a birthday in the future, a malformed date, an unknown enumerated value.
    rows[7]["EmailAddress"] = "no at sign.example.com"
    rows[31]["EmailAddress"] = "two@signs@example.com"
    rows[44]["CustomerKey"] = ""
    rows[58]["BirthDate"] = "2999-01-01"
    rows[71]["BirthDate"] = "yesterday"
    rows[90]["Gender"] = "yes"
    rows[15]["EmailAddress"] = "two.dots@example..com"
    rows[84]["EmailAddress"] = "last.dot@example.com."
    # Rejected: a blank identifier is valid for batchsync and missing for the vendor.
    rows[63]["ShopId"] = "  "
    rows[99]["ShopId"] = " "
    return rows


def vehicles() -> list[Row]:
    """Return the rows of vehicles.csv: most vehicles are identified by VIN, some by plate and state."""
    rows = []
    for number in range(60):
        make, model = CARS[pick("car", number, len(CARS))]
        row = {
            "FleetId": f"F{number + 1:03}",
            "vin": vin(number),
            "plate": "",
            "state": "",
            "make": make,
            "model": model,
        }
        if number % 6 == 5:
            row |= {"vin": "", "plate": f"LDG{number:03}", "state": STATES[pick("state", number, len(STATES))]}
        if number % 9 == 4:
            row["vin"] = f"  {row['vin'].lower()}"
        rows.append(row)
    # Invalid: neither VIN nor plate, a plate without its state, no key.
    rows[12] |= {"vin": "", "plate": "", "state": ""}
    rows[25] |= {"vin": "", "plate": "LDG025", "state": ""}
    rows[38]["FleetId"] = ""
    # Rejected: a short VIN, letters that no VIN contains, an unknown state, and two unknown vehicles.
    rows[3]["vin"] = "ZZZ12345"
    rows[20]["vin"] = "ZZZLDNGOOOOOOOOOO"
    rows[29] |= {"vin": "", "plate": "LDG029", "state": "XX"}
    rows[45]["vin"] = "MCK404LDNG0000045"
    rows[53] |= {"vin": "", "plate": "MOCK404", "state": "NSW"}
    return rows


def vin(number: int) -> str:
    """Return a VIN-like number with an unassigned manufacturer code."""
    return f"ZZZLDNG{'ABCDEFGHJKLMNPRSTUVWXYZ'[number % 23]}{pick('vin', number, 10**9):09}"


def products() -> list[Row]:
    """Return the rows of products.csv."""
    names = ("ProductKey", "ProductName", "Category", "Description", "UnitPrice")
    return [dict(zip(names, product, strict=True)) for product in PRODUCTS]


def orders() -> list[Row]:
    """Return the rows of orders.csv: 62 orders of one to four lines."""
    prices = {product[0]: round(float(product[4]) * 100) for product in PRODUCTS}
    rows: list[Row] = []
    for number in range(62):
        person = people()[pick("buyer", number, 120)]
        paid = ("Card", "Paypal", "Voucher", "Cash")[pick("paid", number, 4)]
        head = {
            "OrderNumber": f"SO{70001 + number}",
            "OrderedAt": f"2026-{1 + number % 9:02}-{1 + pick('day', number, 28):02}T{8 + number % 12:02}:15:00.000Z",
            "Channel": ("WEB", "MOBILE_APP", "CALL_CENTER", "BRANCH")[pick("channel", number, 4)],
            "PaymentType": paid,
            "CardType": ("Visa", "Mastercard")[number % 2] if paid == "Card" else "",
            "Email": person.email,
            "FirstName": person.first,
            "LastName": person.last,
        }
        first = pick("first line", number, len(PRODUCTS))
        lines = [
            (PRODUCTS[(first + line * 3) % len(PRODUCTS)][0], 1 + pick(f"q{line}", number, 3))
            for line in range(1 + pick("lines", number, 4))
        ]
        total = sum(prices[product] * quantity for product, quantity in lines)
        for line, (product, quantity) in enumerate(lines, start=1):
            rows.append(
                head
                | {
                    "OrderTotal": f"{total / 100:.2f}",
                    "Line": str(line),
                    "ProductKey": product,
                    "Quantity": str(quantity),
                }
            )
    _add_failing_rows(rows)
    return rows


def _add_failing_rows(rows: Sequence[Row]) -> None:
    of = {number: [row for row in rows if row["OrderNumber"] == f"SO{70001 + number}"] for number in range(62)}
    # Invalid: a quantity in words, a product that is not in the price list, an unknown channel, a card without its
    # type, a line without an order number.
    of[6][-1]["Quantity"] = "two"
    of[17][-1]["ProductKey"] = "P-999"
    for row in of[28]:
        row["Channel"] = "PIGEON"
    for row in of[35]:
        row |= {"PaymentType": "Card", "CardType": ""}
    of[41][0]["OrderNumber"] = ""
    # Rejected: the vendor does not identify persons by name only.
    for row in (*of[22], *of[50]):
        row["Email"] = ""


def members() -> list[tuple[int, str, int, str, str | None]]:
    """Return the rows of the table members: the loyalty programme has 45, and 5 of them left it."""
    rows = []
    for number in range(45):
        points = pick("points", number, 3000)
        level = next(code for code, _, first in reversed(LEVELS) if points >= first)
        left = f"2026-{1 + number % 9:02}-15" if number % 9 == 8 else None
        email = people()[(number * 7) % 120].email
        # Invalid: an address without its domain.
        rows.append((5001 + number, "someone" if number == 20 else email, points, level, left))
    return rows


def write_shop(file: Path) -> None:
    """Write shop.db, a SQLite database."""
    file.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SHOP)
        connection.executemany("INSERT INTO levels VALUES (?, ?)", [level[:2] for level in LEVELS])
        connection.executemany("INSERT INTO members VALUES (?, ?, ?, ?, ?)", members())
        connection.commit()


def write(file: Path, rows: Sequence[Row]) -> None:
    """Write a CSV file with a header."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Write all tables to the folder of the command line, by default to `data` next to this file."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for table in (vehicles, customers, products, orders):
        write(folder / f"{table.__name__}.csv", table())
    write_shop(folder / "shop.db")


if __name__ == "__main__":
    main()
