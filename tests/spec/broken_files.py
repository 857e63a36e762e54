"""Mistakes in a jobs.yaml, each an edit of a valid file, and whether the JSON Schema shows it in an editor."""

from __future__ import annotations

from typing import NamedTuple

VALID = """\
version: 1
connections:
  crm:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${CRM_KEY}", api_token: "${file:/run/secrets/crm}"}
  cars:
    vendor: motorweb-bdp
    credentials: {client_id: "${CARS_ID}", client_secret: "${CARS_SECRET}"}
  shop: {database: sqlite, path: shop.db}
  mart: {database: postgres, host: db.example.com, dbname: mart, user: reader, password: "${MART}"}
  lake: {storage: s3, bucket: exports, region: eu-west-1}
jobs:
  guests:
    source: {path: guests.csv, key: id, delimiter: ";", nulls: ["", NULL-], join: [{path: segments.csv, on: segment}]}
    target: {connection: crm, schema: guest}
    mode: upsert
    record:
      guestType: customer
      gender: female
      dateOfBirth: "1985-12-24T00:00Z"
      email: =lower(email)
      identifiers: [{provider: CRM, id: =id}]
      extensions: [{name: ext, key: default, points: 5}]
    on_removed: delete
    schedule: {cron: "0 2 * * *", timezone: Europe/Prague}
    guards: {max_remove: 5%, min_rows: 10}
    budget: {invalid: 2%, rejected: 1}
  orders:
    source: {connection: shop, table: orders, key: number}
    target: {connection: crm, schema: order}
    mode: upsert
    record:
      referenceId: =number
      channel: WEB
      pointOfSale: shop.example.com
      orderedAt: =at
      contact: {email: =email}
      orderItems: [{each: {name: =name, currencyCode: EUR}, order_by: line}]
    send: {since: updated_at}
    schedule: {every: 15m}
  checks:
    source: {connection: lake, path: daily/*.parquet, key: [plate, state]}
    target: {connection: cars, service: Vehicle ID}
    mode: lookup
    record: {plate: =plate, state: =state}
    results: {path: out/checks.csv}
    depends_on: [guests]
retention: {rejects: 30d}
"""

#: Values of the variables that the file and its mistakes name.
ENVIRON = dict.fromkeys(("CRM_KEY", "CARS_ID", "CARS_SECRET", "MART", "U", "A"), "x")
#: Why a schema cannot know a mistake.
NAMES = "a JSON Schema cannot compare a name with those declared elsewhere; that of --jobs-file does"
SQL = "a JSON Schema cannot parse SQL"
TEXT = "the parser reports it before there is a value to validate"
VALUES = "a JSON Schema cannot compare two values"
TABLES = "the list differs between machines"


class Mistake(NamedTuple):
    """An edit of the valid file, and the reason why the schema does not refuse it; empty if it does."""

    title: str
    old: str
    new: str
    unseen: str = ""


MISTAKES = [
    # The file
    Mistake("version of a later format", "version: 1", "version: 2"),
    Mistake(
        "data model that there is not", "    vendor: sitecore-cdp\n", "    vendor: sitecore-cdp\n    data_model: 3.0\n"
    ),
    Mistake(
        "setting of another vendor", "    vendor: motorweb-bdp\n", "    vendor: motorweb-bdp\n    data_model: 2.1\n"
    ),
    Mistake("unknown key of a connection", "    vendor: motorweb-bdp\n", "    vendor: motorweb-bdp\n    timeout: 5s\n"),
    Mistake(
        "identity rules without lists",
        "    vendor: sitecore-cdp\n",
        "    vendor: sitecore-cdp\n    identity_rules: [id]\n",
    ),
    Mistake("version as text", "version: 1", 'version: "1"'),
    Mistake("unknown top-level key", "retention: {", "retentoin: {"),
    Mistake("jobs missing", "jobs:\n", "job:\n"),
    Mistake("name of a job in capitals", "  guests:\n", "  Guests:\n"),
    Mistake("name of a job is a device", "  orders:\n", "  con:\n"),
    Mistake("name of a connection with a blank", "  lake: {", '  "my lake": {'),
    Mistake("key twice", "    mode: lookup\n", "    mode: lookup\n    mode: lookup\n", TEXT),
    Mistake("tabulator as indentation", "    mode: lookup\n", "\tmode: lookup\n", TEXT),
    Mistake("key without value", "    mode: lookup\n", "    mode:\n"),
    Mistake("period without unit", "rejects: 30d", "rejects: 30"),
    # Connections of vendors
    Mistake("unknown vendor", "vendor: motorweb-bdp", "vendor: motorweb-bpd"),
    Mistake("vendor missing", "    vendor: motorweb-bdp\n", ""),
    Mistake("secret in the file", '"${CARS_SECRET}"', "hunter2hunter2"),
    Mistake("secret as default of a reference", '"${CARS_SECRET}"', '"${CARS_SECRET:-hunter2}"'),
    Mistake("text around a reference", '"${CARS_SECRET}"', '"Bearer ${CARS_SECRET}"'),
    Mistake("credential misspelled", "client_secret:", "client_secert:"),
    Mistake("credential missing", ', api_token: "${file:/run/secrets/crm}"', ""),
    Mistake("credential of another vendor", "client_key:", "client_id:"),
    Mistake("base URL missing", "    base_url: https://api-engage-eu.sitecorecloud.io\n", ""),
    Mistake("base URL with http", "base_url: https://", "base_url: http://"),
    Mistake("base URL without scheme", "base_url: https://", "base_url: "),
    Mistake("base URL at another host", "api-engage-eu.sitecorecloud.io", "api-engage-eu.example.com"),
    Mistake("base URL with user", "https://api-engage", "https://me@api-engage"),
    Mistake("base URL with query", "sitecorecloud.io\n", "sitecorecloud.io?a=b\n"),
    Mistake(
        "proxy with a password",
        "    vendor: motorweb-bdp",
        "    proxy: http://u:p@proxy:3128\n    vendor: motorweb-bdp",
    ),
    Mistake("deadline without unit", "    vendor: motorweb-bdp", "    deadline: 2\n    vendor: motorweb-bdp"),
    Mistake("deadline of a century", "    vendor: motorweb-bdp", "    deadline: 36500d\n    vendor: motorweb-bdp"),
    Mistake("no batch in flight", "    vendor: motorweb-bdp", "    in_flight: 0\n    vendor: motorweb-bdp"),
    # Databases and storage
    Mistake("unknown kind of database", "database: sqlite", "database: oracle"),
    Mistake("SQLite without a file", "database: sqlite, path: shop.db", "database: sqlite"),
    Mistake("SQLite with a host", "path: shop.db}", "path: shop.db, host: db}"),
    Mistake("server without database", "dbname: mart, ", ""),
    Mistake("server with URL and host", "dbname: mart, ", 'dbname: mart, url: "${U}", '),
    Mistake("password in the file", '"${MART}"', "hunter2"),
    Mistake("storage without a bucket", "bucket: exports, ", ""),
    Mistake("region of another kind of storage", "storage: s3", "storage: gcs"),
    Mistake("incomplete credentials of storage", "region: eu-west-1", 'credentials: {access_key_id: "${A}"}'),
    Mistake("endpoint with http", "region: eu-west-1", "endpoint: http://minio.example.com"),
    # Sources
    Mistake("source missing", "    source: {connection: shop, table: orders, key: number}\n", ""),
    Mistake("key missing", ", key: number", ""),
    Mistake("same column twice in a key", "key: [plate, state]", "key: [plate, plate]"),
    Mistake("path and table", "table: orders", "table: orders, path: orders.csv"),
    Mistake("table without connection", "connection: shop, ", ""),
    Mistake("unknown ending", "guests.csv", "guests.dat"),
    Mistake("old workbook", "guests.csv", "guests.xls"),
    Mistake("unknown format", "delimiter: ", "format: tsv, delimiter: "),
    Mistake("delimiter of two characters", 'delimiter: ";"', 'delimiter: ";;"'),
    Mistake("letter as delimiter", 'delimiter: ";"', "delimiter: x"),
    Mistake("quotation mark like delimiter", 'delimiter: ";"', 'delimiter: ";", quote: ";"', VALUES),
    Mistake("unknown encoding", 'delimiter: ";"', "encoding: utf-9", TABLES),
    Mistake("no header and no columns", 'delimiter: ";"', "header: false"),
    Mistake("columns with a header", 'delimiter: ";"', "columns: [id, email]"),
    Mistake("header of a Parquet file", "key: [plate, state]", "key: [plate, state], header: true"),
    Mistake("sheet of a CSV file", 'delimiter: ";"', "sheet: Guests"),
    Mistake("query that deletes", "table: orders", "query: DELETE FROM orders"),
    Mistake("version of no Delta table", "table: orders", "table: orders, version: 3"),
    Mistake("since of a file", 'delimiter: ";"', "since: {column: at}"),
    Mistake("join without columns", ", on: segment", ""),
    # Jobs
    Mistake("unknown connection", "connection: cars, service", "connection: car, service", NAMES),
    Mistake("database as target", "connection: cars, service", "connection: shop, service", NAMES),
    Mistake("unknown record schema", "schema: order", "schema: orders"),
    Mistake("unknown key of the target", "service: Vehicle ID", "service: Vehicle ID, region: nz"),
    Mistake("required key of the target missing", ", service: Vehicle ID", ""),
    Mistake("mode of no vendor", "mode: lookup", "mode: lokup"),
    Mistake("mode of another record schema", "schema: guest}\n    mode: upsert", "schema: guest}\n    mode: insert"),
    Mistake("unknown member", "guestType:", "guestTyp:"),
    Mistake("required member missing", "      channel: WEB\n", ""),
    Mistake("required member of a list missing", "provider: CRM, ", ""),
    Mistake("no identifying member", "      email: =lower(email)\n      identifiers: [{provider: CRM, id: =id}]\n", ""),
    Mistake("value that is not listed", "gender: female", "gender: feminine"),
    Mistake("date of another form", '"1985-12-24T00:00Z"', '"24.12.1985"'),
    Mistake("date that does not exist", "1985-12-24T00:00Z", "1985-02-30T00:00Z", "a JSON Schema knows no calendar"),
    Mistake("number for text", "pointOfSale: shop.example.com", "pointOfSale: 5"),
    Mistake("text for a list", "[{provider: CRM, id: =id}]", "CRM"),
    Mistake("name of an attribute with a hyphen", "points: 5", "my-points: 5"),
    Mistake(
        "each with other items", "order_by: line}]", "order_by: line}, {name: x}]", "no rule counts items beside one"
    ),
    Mistake("expression that is no SQL", "=lower(email)", "=lower(email", SQL),
    Mistake("unknown removal mode", "on_removed: delete", "on_removed: remove"),
    Mistake("removal with since", "send: {since: updated_at}", "send: {since: updated_at}\n    on_removed: delete"),
    Mistake("lookup without results", "    results: {path: out/checks.csv}\n", ""),
    Mistake("results of no lookup", "    send: {since", "    results: {path: out/a.csv}\n    send: {since"),
    Mistake("ending of results", "out/checks.csv", "out/checks.xlsx"),
    Mistake("SQLite results without table", "out/checks.csv", "out/checks.db"),
    Mistake("cron line of four fields", '"0 2 * * *"', '"0 2 * *"'),
    Mistake("cron line with a name for a minute", '"0 2 * * *"', '"x 2 * * *"'),
    Mistake("hour 25", '"0 2 * * *"', '"0 25 * * *"'),
    Mistake("unknown time zone", "Europe/Prague", "Europe/Progue", TABLES),
    Mistake("time zone of an interval", "every: 15m", "every: 15m, timezone: UTC"),
    Mistake("interval without unit", "every: 15m", "every: 15"),
    Mistake("percentage above 100", "max_remove: 5%", "max_remove: 105%"),
    Mistake("negative number of rows", "min_rows: 10", "min_rows: -1"),
    Mistake("guard misspelled", "min_rows: 10", "min_row: 10"),
    Mistake("budget as text", "rejected: 1", "rejected: few"),
    Mistake("clearing what cannot be cleared", "    on_removed: delete", "    on_null: clear\n    on_removed: delete"),
    Mistake("dependency on no job", "depends_on: [guests]", "depends_on: [gests]", NAMES),
    Mistake("dependency as text", "depends_on: [guests]", "depends_on: guests"),
]
