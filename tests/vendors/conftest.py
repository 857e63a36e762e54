"""Fixtures of the tests of vendors."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import batchsync_mocks

sys.path.insert(0, str(Path(__file__).parent))

from vendor_kit import MockedClock, ScriptedServer

from batchsync.core.vendor_calls import Limits
from batchsync.spec.vendor_spec import load_vendor
from batchsync.vendors.allowed_urls import UrlAllowList
from batchsync.vendors.connect import connect
from batchsync.vendors.http import HttpTransport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vendor_kit import Script

    from batchsync.vendors.client import HttpVendor


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    servers: list[ScriptedServer] = []

    def start(script: Script, *, reads_body: bool = True) -> ScriptedServer:
        servers.append(ScriptedServer(script, reads_body=reads_body))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def clock() -> MockedClock:
    return MockedClock()


@pytest.fixture
def http(clock: MockedClock) -> HttpTransport:
    """Return a transport with short timeouts for a loopback base URL."""
    limits = Limits(connect=timedelta(seconds=2), read=timedelta(seconds=0.4), answer_max=10_000, file_max=100_000)
    allowed_urls = UrlAllowList(
        base_url="http://127.0.0.1:1", api_hosts=("api.vendor.example",), storage_hosts=("storage.vendor.example",)
    )
    return open_transport(allowed_urls, replace(limits, expanded_max=1_000_000), clock, "batchsync tests", None)


@pytest.fixture
def mocks(tmp_path: Path) -> Iterator[batchsync_mocks.Running]:
    with batchsync_mocks.serve(seed=3, state_dir=tmp_path / "mocks") as running:
        yield running


@pytest.fixture
def open_vendor(mocks: batchsync_mocks.Running) -> Callable[..., HttpVendor]:
    """Return a function that connects to the mock of a vendor, with its credentials or with others."""

    def connect_to(
        name: str,
        credentials: Mapping[str, str] | None = None,
        read: float = 1.5,
        settings: Mapping[str, str] | None = None,
    ) -> HttpVendor:
        rules = load_vendor(name, settings or {})
        assert rules.dialect is not None
        limits = replace(rules.dialect.limits, read=timedelta(seconds=read))
        dialect = replace(rules.dialect, limits=limits)
        return connect(
            replace(rules, dialect=dialect),
            base_url=mocks.urls[name],
            credentials=credentials or mocks.credentials(name),
            ca_bundle=None,
            clock=MockedClock(),
            user_agent="batchsync tests",
        )

    return connect_to
