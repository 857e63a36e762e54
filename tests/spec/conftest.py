"""A small valid jobs.yaml, and helpers to edit and load it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.errors import SpecError
from batchsync.spec import load, render_problem
from kit.schemas import text_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from batchsync.core.deployment import Deployment

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
jobs:
  guests:
    source: {path: guests.csv, key: id}
    target: {connection: crm, schema: guest}
    mode: upsert
    record:
      guestType: customer
      email: =lower(email)
      identifiers: [{provider: CRM, id: =id}]
  checks:
    source: {path: cars.parquet, key: [plate, state]}
    target: {connection: cars, service: Vehicle ID}
    mode: lookup
    record: {plate: =plate, state: =state}
    results: {path: out/checks.csv}
"""


class Workshop:
    """Writes a jobs.yaml into a folder and loads it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.yaml"
        self.valid = VALID

    def changed(self, *changes: tuple[str, str]) -> str:
        """Return the valid file with replacements; each replaced text must occur exactly once."""
        text = self.valid
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text

    def load(self, text: str | bytes, environ: Mapping[str, str] | None = None, **options: Any) -> Deployment:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        loaded = load(self.path, environ=environ or {}, **options)
        if "vendors" not in options:
            # An editor never shows a mistake in a valid file.
            assert text_errors(text if isinstance(text, str) else text.decode("utf-8-sig")) == ()
        return loaded

    def problems(self, text: str | bytes, environ: Mapping[str, str] | None = None, **options: Any) -> list[str]:
        """Return the rendered problems of a file, without its folder and codes; each problem must have a code."""
        with pytest.raises(SpecError) as caught:
            self.load(text, environ, **options)
        shown = [render_problem(problem) for problem in caught.value.problems]
        assert all(_CODE.search(item) for item in shown)
        return [_CODE.sub("", item, count=1).replace(str(self.path), "jobs.yaml") for item in shown]


#: Code of an error at the end of its message.
_CODE = re.compile(r" \[BS-[A-Z][0-9]{3}\]$", re.MULTILINE)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def load_changed(workshop: Workshop) -> Callable[..., Deployment]:
    """Return a loader of the valid file with replacements."""

    def run(*changes: tuple[str, str], environ: Mapping[str, str] | None = None) -> Deployment:
        return workshop.load(workshop.changed(*changes), environ)

    return run
