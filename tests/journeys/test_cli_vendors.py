"""`batchsync vendors` and `batchsync schema --jobs-file`, run as commands."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from batchsync_specs import __path__ as specs

if TYPE_CHECKING:
    from kit.deployment import Deployment


def test_vendors_are_listed_and_described(deployment: Deployment) -> None:
    assert [item["name"] for item in deployment.json("vendors")["vendors"]] == ["motorweb-bdp", "sitecore-cdp"]
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
