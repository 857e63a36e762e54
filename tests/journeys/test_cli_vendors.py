"""`batchsync vendors` with its subcommands, and `batchsync schema --jobs-file`, run as commands."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from batchsync_mocks.faults import Fault
from batchsync_specs import __path__ as specs
from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment


def test_vendors_are_listed_and_described(deployment: Deployment) -> None:
    names = [item["name"] for item in deployment.json("vendors")["vendors"]]
    assert names == ["amazon-sp-feeds", "motorweb-bdp", "salesforce-bulk", "sitecore-cdp"]
    assert deployment.json("vendors", "sitecore-cdp")["credentials"] == ["client_key", "api_token"]
    lines = [
        json.loads(line) for line in deployment.run("vendors", "motorweb-bdp", "vehicle", "-o", "ndjson").splitlines()
    ]
    assert [line["member"] for line in lines if line["event"] == "member"] == ["vin", "plate", "state"]
    assert "| `" not in deployment.run("vendors", "motorweb-bdp", "-o", "md")


def test_unknown_names_are_refused_with_the_nearest(deployment: Deployment) -> None:
    deployment.run("vendors", "sitecore", expect=2)
    assert 'did you mean "sitecore-cdp"?' in (deployment.folder / "last.log").read_text()
    deployment.run("vendors", "sitecore-cdp", "guests", expect=2)
    assert 'did you mean "guest"?' in (deployment.folder / "last.log").read_text()


def test_vendor_of_a_folder_is_described_and_completed(deployment: Deployment) -> None:
    shutil.copytree(f"{next(iter(specs))}/motorweb-bdp", deployment.folder / "acme")
    spec = deployment.folder / "acme" / "vendor.yaml"
    spec.write_text(spec.read_text().replace("name: motorweb-bdp", "name: acme"))
    assert deployment.json("vendors", "./acme")["name"] == "acme"
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text().replace("vendor: motorweb-bdp", "vendor: ./acme"))
    schema = deployment.json("schema", "--jobs-file", "jobs.yaml")
    assert "acme.job" in schema["$defs"]
    assert '"vehicles"' in json.dumps(schema)


def test_bundled_schema_is_not_made_for_a_jobs_file(deployment: Deployment) -> None:
    deployment.run("schema", "--write", "--jobs-file", "jobs.yaml", expect=2)


def writes(deployment: Deployment) -> list[str]:
    """Return the requests that change something at the vendor; tokens are requested with POST."""
    return [
        item["path"] for item in deployment.mocks.requests() if item["method"] != "GET" and "token" not in item["path"]
    ]


def test_services_are_listed_with_id_name_and_description_and_nothing_is_sent(deployment: Deployment) -> None:
    (service,) = deployment.json("vendors", "services", "motorweb")["options"]
    assert service["id"] == "8600aa22-e4bf-4fe3-96be-7978832807a0"
    assert service["name"] == "Vehicle ID WOVR Batch"
    assert service["description"]
    # The other form of the list that the page leaves open, with the code as name.
    deployment.mocks.switch(BDP, services="wrapped", service_id="batchServiceId", service_name="code")
    text = deployment.run("vendors", "services", "motorweb")
    assert text.splitlines()[:2] == ["VEHICLE_ID_WOVR", f"  id: {service['id']}"]
    assert "| VEHICLE\\_ID\\_WOVR |" in deployment.run("vendors", "services", "motorweb", "-o", "md")
    lines = deployment.run("vendors", "services", "motorweb", "-o", "ndjson").splitlines()
    assert json.loads(lines[0])["id"] == service["id"]
    assert writes(deployment) == []


def test_template_is_printed_and_saved_as_the_vendor_sends_it(deployment: Deployment) -> None:
    printed = deployment.json("vendors", "template", "motorweb", "vehicle id wovr BATCH")
    assert printed["columns"] == ["vin", "plate", "state"]
    assert printed["file"] is None
    deployment.run("vendors", "template", "motorweb", printed["id"], "--save", "out/template.csv")
    assert (deployment.folder / "out" / "template.csv").read_bytes() == b"vin,plate,state\r\n"
    asked = len(deployment.mocks.requests())
    deployment.run("vendors", "template", "motorweb", printed["id"], "--save", "out/template.csv", expect=2)
    assert "exists already; nothing was written" in deployment.shown()
    assert len(deployment.mocks.requests()) == asked
    assert writes(deployment) == []


def test_lists_that_a_vendor_lacks_and_names_that_it_does_not_know_are_refused(deployment: Deployment) -> None:
    deployment.run("vendors", "services", "sitecore", expect=2)
    assert "has no documented list that a target selects from" in deployment.shown()
    assert [item for item in deployment.mocks.requests() if item["vendor"] == CDP] == []
    deployment.run("vendors", "services", "motorwebb", expect=2)
    assert 'did you mean "motorweb"?' in deployment.shown()
    deployment.run("vendors", "template", "motorweb", "Vehicle ID WOVR Bach", expect=2)
    assert 'did you mean "Vehicle ID WOVR Batch"?' in deployment.shown()
    deployment.mocks.arm(Fault(kind="status", status=500, path="/batch-services"))
    deployment.run("vendors", "services", "motorweb", expect=3)
    assert "HTTP 500" in deployment.shown()


def test_subcommands_stand_beside_the_names_of_vendors(deployment: Deployment) -> None:
    assert "vendors services CONNECTION" in deployment.run("vendors", "--help")
    assert "Usage: batchsync vendors services " in deployment.run("vendors", "services", "--help")
    assert deployment.json("vendors", "sitecore-cdp", "guest")["name"] == CDP
    assert "motorweb-bdp" in deployment.run("vendors", "-o", "md")
    # A connection that was renamed is found by its former name.
    deployment.edit(
        "  motorweb:\n    vendor: motorweb-bdp\n", "  bdp:\n    vendor: motorweb-bdp\n    renamed_from: motorweb\n"
    )
    deployment.edit("connection: motorweb", "connection: bdp")
    assert deployment.json("vendors", "services", "motorweb")["connection"] == "motorweb"
