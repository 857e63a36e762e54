"""A plain Python script for comparison: csv.DictReader, hand-written checks, json.dumps, gzip.open.

`python benchmarks/naive.py SOURCE.csv FOLDER LEVEL ROWS` prints one line of JSON. It writes the same records as
batchsync and needs the standard library only.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import sys
import time
import uuid
from itertools import islice
from pathlib import Path
from typing import Any

_NAMESPACE = uuid.UUID("6f2f3c1e-6f0a-5f5b-9a50-1b8e5f1f2a77")
_EMAIL = re.compile(r'[^\s@"(),:;<>\[\]\\]+@([^\W_][\w-]*\.)+[^\W\d_][\w-]+')
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?Z")
_MINUTE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z")
_PER_FILE = 250_000
_EMAIL_MAX = 254
_NOW = "2026-11-22T07:00"
_PARTS = [
    ("title", "title"), ("firstName", "first_name"), ("lastName", "last_name"), ("gender", "gender"),
    ("dateOfBirth", "birth_date"), ("email", "email"),
]  # fmt: skip
_MORE = [
    ("language", "language"), ("nationality", "nationality"), ("passportNumber", "passport"),
    ("passportExpiry", "passport_expiry"),
]  # fmt: skip


def reasons(row: dict[str, str]) -> list[str]:
    """Return the names of the invalid fields of a row."""
    found = []
    mail = row["email"]
    if mail and (not _EMAIL.fullmatch(mail) or len(mail) > _EMAIL_MAX):
        found.append("email")
    if row["gender"] and row["gender"] not in ("male", "female", "unknown"):
        found.append("gender")
    if row["country"] and not re.fullmatch("[A-Z]{2}", row["country"]):
        found.append("country")
    if row["language"] and not re.fullmatch("[A-Za-z]{2}", row["language"]):
        found.append("language")
    if row["birth_date"] and (not _exists(_MINUTE, row["birth_date"]) or row["birth_date"][:16] > _NOW):
        found.append("dateOfBirth")
    if row["passport_expiry"] and not _exists(_MINUTE, row["passport_expiry"]):
        found.append("passportExpiry")
    found += [name for name in ("first_seen", "last_seen") if row[name] and not _exists(_TIMESTAMP, row[name])]
    if row["newsletter"] not in ("", "PENDING", "SUBSCRIBED", "UNSUBSCRIBED", "UNKNOWN"):
        found.append("subscriptions")
    found += [name for name in ("id", "loyalty_id") if not row[name]]
    return found


def _exists(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether a text has a format and is an existing date and time."""
    if not pattern.fullmatch(text):
        return False
    try:
        time.strptime(text[:16], "%Y-%m-%dT%H:%M")
    except ValueError:
        return False
    return True


def record(row: dict[str, str]) -> dict[str, Any]:
    """Return the nested record of a row without empty values."""
    value: dict[str, Any] = {"guestType": "customer"}
    value |= {name: row[column] for name, column in _PARTS if row[column]}
    if phones := [row[name] for name in ("phone", "mobile") if row[name]]:
        value["phoneNumbers"] = phones
    value |= {name: row[column] for name, column in _MORE if row[column]}
    if street := [row[name] for name in ("street", "street2") if row[name]]:
        value["street"] = street
    address = [("city", "city"), ("country", "country"), ("postCode", "postcode"), ("state", "state")]
    value |= {name: row[column] for name, column in address if row[column]}
    value |= {name: row[column] for name, column in (("firstSeen", "first_seen"), ("lastSeen", "last_seen"))}
    value["identifiers"] = [{"provider": "CRM", "id": row["id"]}, {"provider": "LOYALTY", "id": row["loyalty_id"]}]
    extension: dict[str, Any] = {"name": "ext", "key": "default"}
    if row["loyalty_tier"]:
        extension["tier"] = row["loyalty_tier"]
    spend = float(row["spend"])
    extension |= {"points": int(row["points"]), "spend": int(spend) if spend.is_integer() else spend}
    if row["note"]:
        extension["note"] = row["note"]
    value["extensions"] = [extension]
    value["subscriptions"] = [
        {"name": "newsletter", "channel": "EMAIL", "pointOfSale": "shop.example.com", "status": row["newsletter"],
         "effectiveDate": row["last_seen"]},
    ]  # fmt: skip
    return value


def line(row: dict[str, str]) -> bytes:
    """Return the line of a row in a batch file."""
    ref = str(uuid.uuid5(_NAMESPACE, f"record\0guests\0{row['id']}"))
    envelope = {"ref": ref, "schema": "guest", "mode": "upsert", "value": record(row)}
    return (json.dumps(envelope, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def main() -> None:
    """Measure the work on a source and print the result."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    level, rows_max = int(sys.argv[3]), int(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    text = hashlib.md5(usedforsecurity=False)
    invalid = rows = size = 0
    with source.open(encoding="utf-8", newline="") as stream:
        reader = islice(csv.DictReader(stream), rows_max)
        for number in range(1 << 30):
            path = folder / f"part-{number}.json.gz"
            rows_before = rows
            with gzip.open(path, "wb", compresslevel=level) as out:
                for row in islice(reader, _PER_FILE):
                    rows += 1
                    if reasons(row):
                        invalid += 1
                        continue
                    data = line(row)
                    text.update(data)
                    out.write(data)
            hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            size += path.stat().st_size
            if rows - rows_before < _PER_FILE:
                break
    seconds = time.perf_counter() - begin
    result = {"rows": rows, "invalid": invalid, "seconds": seconds, "cpu": time.process_time(), "bytes": size}
    print(json.dumps(result | {"text": text.hexdigest()}))


if __name__ == "__main__":
    main()
