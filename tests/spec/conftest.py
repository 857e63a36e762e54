"""A small jobs.yaml that loads, and ways to break it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchsync.errors import SpecError
from batchsync.spec import load, render_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from batchsync.core.job import Deployment

WHOLE = """\
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
    """Writes a jobs.yaml into a folder of its own and loads it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.yaml"
        self.whole = WHOLE

    def changed(self, *changes: tuple[str, str]) -> str:
        """Return the whole file with pieces of it replaced; each piece must stand in it exactly once."""
        text = self.whole
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text

    def load(self, text: str | bytes, environ: Mapping[str, str] | None = None, **more: Any) -> Deployment:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(self.path, environ=environ or {}, **more)

    def problems(self, text: str | bytes, environ: Mapping[str, str] | None = None, **more: Any) -> list[str]:
        """Return what is wrong with a file, as it is shown, with the folder taken off its name."""
        with pytest.raises(SpecError) as caught:
            self.load(text, environ, **more)
        shown = [render_problem(problem) for problem in caught.value.problems]
        return [item.replace(str(self.path), "jobs.yaml") for item in shown]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def load_changed(workshop: Workshop) -> Callable[..., Deployment]:
    """Return a loader of the whole file with pieces replaced."""

    def run(*changes: tuple[str, str], environ: Mapping[str, str] | None = None) -> Deployment:
        return workshop.load(workshop.changed(*changes), environ)

    return run
