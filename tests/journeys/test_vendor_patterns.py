"""A pattern of a vendor folder that backtracking engines match in exponential time does not stop `validate`."""

from __future__ import annotations

from importlib.resources import as_file, files
from shutil import copytree
from typing import TYPE_CHECKING

import pytest

from kit.deployment import CDP

if TYPE_CHECKING:
    from pathlib import Path

    from kit.deployment import Deployment


@pytest.fixture
def guest_rules(deployment: Deployment) -> Path:
    """Use a copy of the Sitecore folder in jobs.yaml; return its record schema of guests."""
    folder = deployment.folder / "acme"
    with as_file(files("batchsync_specs") / CDP) as bundled:
        copytree(bundled, folder)
    vendor, jobs = folder / "vendor.yaml", deployment.folder / "jobs.yaml"
    vendor.write_text(vendor.read_text(encoding="utf-8").replace(f"name: {CDP}", "name: acme"), encoding="utf-8")
    jobs.write_text(jobs.read_text(encoding="utf-8").replace(f"vendor: {CDP}", "vendor: ./acme"), encoding="utf-8")
    return folder / "records" / "guest.yaml"


def set_pattern(guest_rules: Path, pattern: str) -> None:
    text = guest_rules.read_text(encoding="utf-8")
    changed = text.replace("  firstName: {kind: string", f"  firstName: {{kind: string, pattern: '{pattern}'", 1)
    assert changed != text
    guest_rules.write_text(changed, encoding="utf-8")


def test_literal_that_does_not_match_is_refused(deployment: Deployment, guest_rules: Path) -> None:
    set_pattern(guest_rules, "^(a+)+$")
    jobs = deployment.folder / "jobs.yaml"
    literal = "a" * 200 + "!"
    jobs.write_text(
        jobs.read_text(encoding="utf-8").replace("firstName: =initcap(name)", f"firstName: {literal}"), encoding="utf-8"
    )
    deployment.run("validate", expect=2)
    log = (deployment.folder / "last.log").read_text(encoding="utf-8")
    assert "a string that matches ^(a+)+$" in log


def test_row_that_does_not_match_is_invalid(deployment: Deployment, guest_rules: Path) -> None:
    set_pattern(guest_rules, "^(A?a+)+$")
    (deployment.folder / "guests.csv").write_text(f"id,name,email\nG1,{'a' * 200},a@x.org\nG2,{'a' * 200}!,b@x.org\n")
    [plan] = deployment.json("plan", "guests")["jobs"]
    assert (plan["add"], plan["invalid"], plan["invalid_groups"][0]["code"]) == (1, 1, "pattern")


def test_pattern_without_support_is_reported_with_its_line(deployment: Deployment, guest_rules: Path) -> None:
    set_pattern(guest_rules, "(?=a)b")
    deployment.run("validate", expect=2)
    log = (deployment.folder / "last.log").read_text(encoding="utf-8")
    assert "guest.yaml:" in log
    assert "look-around" in log
