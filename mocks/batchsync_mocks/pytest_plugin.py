"""pytest plugin: fixtures with fresh vendor mocks for each test, and a marker that selects a fault profile.

Nothing is imported until a fixture is used.

    @pytest.mark.batchsync_faults("storm", seed=7)
    def test_my_jobs(sitecore_cdp): ...

    def test_jobs_of_another_vendor(vendor_mock):
        acme = vendor_mock("./acme")
"""

from __future__ import annotations

from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from batchsync_mocks.running import Running, VendorMock

_MARKER = "batchsync_faults(profile, seed=0, switches=None, https=False): serve the vendor mocks under a fault profile"
START = "2026-01-01T00:00:00Z"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def vendor_mocks(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Serve mocks of both vendors, with a shared frozen clock that advances whenever a batch is polled.

    Yields:
        The handle of both mocks.
    """
    with _served(request) as running:
        yield running


@pytest.fixture
def vendor_mock(request: pytest.FixtureRequest) -> Iterator[Callable[[str], VendorMock]]:
    """Return a function that serves a fresh mock of a vendor of a folder, such as `./acme` next to the test.

    Yields:
        The function. Its argument is the folder with `vendor.yaml`, relative to that of the test.
    """
    with ExitStack() as served:

        def serve_folder(folder: str) -> VendorMock:
            """Return a fresh mock of the vendor of a folder."""
            running = served.enter_context(_served(request, [str(request.path.parent / folder)]))
            return running.of(next(iter(running.urls)))

        yield serve_folder


def _served(request: pytest.FixtureRequest, vendors: Sequence[str] = ()) -> Running:
    """Serve mocks of vendors (all written ones if none are named), as the marker of a test says."""
    # Imported on use, to keep the start of other test runs fast.
    serving, clock = import_module("batchsync_mocks.serving"), import_module("batchsync_mocks.clock").Clock
    marker = request.node.get_closest_marker("batchsync_faults")
    options = _marker_options(*marker.args, **marker.kwargs) if marker else _marker_options()
    running: Running = serving.serve(
        vendors or tuple(serving.VENDORS), clock=clock(START, frozen=True, auto=True), **options
    )
    text = f"profile {options['profile']}, seed {running.seed}"
    request.node.add_report_section("setup", "batchsync mocks", text)
    return running


@pytest.fixture
def motorweb_bdp(vendor_mocks: Running) -> VendorMock:
    """Return a fresh mock of Motorweb's Bulk Data Platform."""
    return vendor_mocks.of("motorweb-bdp")


@pytest.fixture
def sitecore_cdp(vendor_mocks: Running) -> VendorMock:
    """Return a fresh mock of Sitecore CDP's Batch API."""
    return vendor_mocks.of("sitecore-cdp")


def __getattr__(name: str) -> Any:
    """Return `assert_matches_ledger`, imported on first access.

    Raises:
        AttributeError: If another name is requested.
    """
    if name != "assert_matches_ledger":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return import_module("batchsync_mocks.ledger_check").assert_matches_ledger


def _marker_options(
    profile: Any = None, seed: int = 0, switches: dict[str, dict[str, Any]] | None = None, *, https: bool = False
) -> dict[str, Any]:
    """Return the arguments of the marker as options of `serve`."""
    return {"profile": profile, "seed": seed, "switches": switches, "https": https}
