"""A job whose source is in a bucket, for the services of storage of tests/servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.deployment import CDP

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit.deployment import Deployment

JOBS = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${A}", api_token: "${B}"}
  lake:
    storage: KIND
    bucket: NAME
    prefix: crm
    endpoint: URL
    REFERENCES
jobs:
  guests:
    source: {connection: lake, path: "daily/*/guests.csv", key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {guestType: customer, lastName: =name, identifiers: [{provider: CRM, id: =id}]}
    on_removed: delete
"""


def write_jobs(deployment: Deployment, kind: str, bucket: str, endpoint: str, references: str) -> None:
    """Write jobs.yaml.

    Args:
        deployment: Its folder.
        kind: Kind of the storage.
        bucket: Its bucket or container.
        endpoint: URL of the service.
        references: More lines of the connection, divided by semicolons.
    """
    lines = "\n    ".join(item.strip() for item in references.split(";"))
    text = JOBS.replace("KIND", kind).replace("NAME", bucket).replace("URL", endpoint).replace("REFERENCES", lines)
    (deployment.folder / "jobs.yaml").write_text(text, encoding="utf-8")


def sync_changes(deployment: Deployment, put: Callable[[str, str], None]) -> None:
    """Check that changes of the bucket reach the vendor once, and that a damaged object sends nothing.

    Args:
        deployment: Its jobs.yaml is that of `write_jobs`.
        put: Writes an object below the prefix.
    """
    put("daily/1/guests.csv", "id,name\n1,Ada\n2,Bo\n")
    put("daily/2/guests.csv", "id,name\n3,Cy\n")
    put("daily/2/other.csv", "nothing of interest")
    deployment.run("sync")
    assert "unchanged 3" in deployment.run("sync")
    put("daily/2/guests.csv", "id,name\n4,Di\n")
    assert "1 added, 0 changed, 1 removed" in deployment.run("sync")
    put("daily/2/guests.csv", "id,name\n4\n")
    deployment.run("sync", expect=3)
    assert "lake: daily/2/guests.csv:2 (row 1): " in (deployment.folder / "last.log").read_text(encoding="utf-8")
    put("daily/2/guests.csv", "id,name\n4,Dina\n")
    assert "0 added, 1 changed, 0 removed" in deployment.run("sync")
    found = sorted(item["value"]["lastName"] for item in deployment.mocks.store(CDP))
    assert found == ["Ada", "Bo", "Dina"]
    assert all(count == 1 for count in deployment.delivered(CDP).values())
