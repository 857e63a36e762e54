"""The pytest plugin: fresh mocks of the vendors for each test that asks for them, under the faults it is marked with.

It imports nothing until a fixture is used, and does not know lading.

    @pytest.mark.lading_faults("storm", seed=7)
    def test_my_jobs(sitecore_cdp): ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading_mocks.running import Running, VendorMock

_MARKER = "lading_faults(profile, seed=0, switches=None, https=False): serve the vendor mocks under a fault profile"
START = "2026-01-01T00:00:00Z"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def vendor_mocks(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Mocks of both vendors on ports of their own, with one clock that stands still and jumps when somebody waits."""
    # Whoever does not use the fixture does not pay for what it needs.
    serve, clock = import_module("lading_mocks.serving").serve, import_module("lading_mocks.clock").Clock
    marker = request.node.get_closest_marker("lading_faults")
    wish = _wish(*marker.args, **marker.kwargs) if marker else _wish()
    with serve(clock=clock(START, frozen=True, auto=True), **wish) as running:
        request.node.add_report_section("setup", "lading mocks", f"profile {wish['profile']}, seed {running.seed}")
        yield running


@pytest.fixture
def motorweb_bdp(vendor_mocks: Running) -> VendorMock:
    """A fresh mock of Motorweb's Bulk Data Platform."""
    return vendor_mocks.of("motorweb-bdp")


@pytest.fixture
def sitecore_cdp(vendor_mocks: Running) -> VendorMock:
    """A fresh mock of Sitecore CDP's Batch API."""
    return vendor_mocks.of("sitecore-cdp")


def __getattr__(name: str) -> Any:
    """Give `assert_books_balance` when it is asked for."""
    if name != "assert_books_balance":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return import_module("lading_mocks.books").assert_books_balance


def _wish(
    profile: Any = None, seed: int = 0, switches: dict[str, dict[str, Any]] | None = None, *, https: bool = False
) -> dict[str, Any]:
    return {"profile": profile, "seed": seed, "switches": switches, "https": https}
