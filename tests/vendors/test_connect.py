"""Who we are to the vendors and what they offer us: credentials, tokens, certificates, services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from delivery import BOTH, TARGETS, Delivery, asked
from vendor_kit import MOTORWEB, SITECORE, MockedClock

import lading_mocks
from lading.errors import DidNotHappen, EnvironmentProblem, Permanent, UsageError
from lading.ports import Running
from lading.spec.vendor_spec import load_vendor
from lading.vendors.client import HttpVendor, connect
from lading_mocks import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading_mocks.faults import Kind

    Open = Callable[..., HttpVendor]


def test_a_revoked_token_is_renewed_once_in_the_middle_of_a_run(
    open_vendor: Open, mocks: lading_mocks.Running, tmp_path: Path
) -> None:
    delivery = Delivery(open_vendor(MOTORWEB), MOTORWEB, tmp_path)
    slot = delivery.uploaded()
    before = len(asked(mocks, "/token"))
    mocks.revoke_tokens(MOTORWEB)
    assert isinstance(delivery.vendor.poll(slot), Running)
    assert isinstance(delivery.vendor.poll(slot), Running)
    assert (before, len(asked(mocks, "/token"))) == (1, 2)


def test_a_vendor_that_refuses_fresh_tokens_is_not_asked_for_ever(
    open_vendor: Open, mocks: lading_mocks.Running
) -> None:
    vendor = open_vendor(MOTORWEB)
    mocks.arm(Fault(kind="status", vendor=MOTORWEB, path="/batch-services", status=401, times=0))
    with pytest.raises(Permanent, match="credentials"):
        vendor.describe(TARGETS[MOTORWEB])
    assert len(asked(mocks, "/batch-services")) == 2


@pytest.mark.parametrize("kind", ["lose_answer", "reset", "cut", "refuse"])
def test_without_a_token_the_request_did_not_happen(kind: Kind, open_vendor: Open, mocks: lading_mocks.Running) -> None:
    vendor = open_vendor(MOTORWEB)
    mocks.arm(Fault(kind=kind, vendor=MOTORWEB, path="/token"))
    with pytest.raises(DidNotHappen):
        vendor.describe(TARGETS[MOTORWEB])
    assert asked(mocks, "/batch-services") == []


@BOTH
def test_wrong_credentials_are_refused_before_anything_is_prepared(name: str, open_vendor: Open) -> None:
    wrong = dict.fromkeys(load_vendor(name).credentials, "not-the-right-words")
    with pytest.raises(Permanent) as raised:
        open_vendor(name, wrong).describe(TARGETS[name])
    assert "401" in raised.value.reason
    assert "not-the-right-words" not in raised.value.reason


def test_an_unknown_service_is_refused_with_what_there_is(open_vendor: Open) -> None:
    with pytest.raises(Permanent, match=r"It offers: .*Vehicle ID WOVR Batch"):
        open_vendor(MOTORWEB).describe({"service": "Boat Check"})


def test_a_service_is_also_known_by_its_id(open_vendor: Open) -> None:
    vendor = open_vendor(MOTORWEB)
    by_name = vendor.describe(TARGETS[MOTORWEB]).params["service_id"]
    assert vendor.describe({"service": by_name.upper()}).params["service_id"] == by_name


@pytest.mark.parametrize("status", [403, 404, 405])
def test_a_template_that_is_not_offered_is_no_trouble(
    status: int, open_vendor: Open, mocks: lading_mocks.Running
) -> None:
    mocks.arm(Fault(kind="status", vendor=MOTORWEB, path="/template", status=status))
    facts = open_vendor(MOTORWEB).describe(TARGETS[MOTORWEB])
    assert facts.columns is None
    assert facts.params["service_id"]


def test_https_needs_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    with lading_mocks.serve([SITECORE], state_dir=tmp_path / "mocks", https=True) as mocks:
        opened = [
            connect(
                load_vendor(SITECORE),
                base_url=mocks.urls[SITECORE],
                credentials=mocks.credentials(SITECORE),
                ca_bundle=bundle,
                clock=MockedClock(),
                user_agent="lading tests",
            )
            for bundle in (None, str(mocks.ca))
        ]
        with pytest.raises(DidNotHappen, match="certificate"):
            opened[0].describe(TARGETS[SITECORE])
        Delivery(opened[1], SITECORE, tmp_path).uploaded()


@pytest.mark.parametrize(
    "base_url",
    [
        "https://evil.example",
        "http://api-engage-eu.sitecorecloud.io",
        "api-engage-eu.sitecorecloud.io",
        "",
        "https://a?b",
    ],
)
def test_a_base_url_that_is_not_the_vendors_is_refused(base_url: str) -> None:
    with pytest.raises(UsageError, match="base_url"):
        connect(
            load_vendor(SITECORE),
            base_url=base_url,
            credentials={"client_key": "a", "api_token": "b"},
            ca_bundle=None,
            clock=MockedClock(),
            user_agent="lading tests",
        )


def test_a_missing_credential_is_named() -> None:
    with pytest.raises(EnvironmentProblem, match="api_token"):
        connect(
            load_vendor(SITECORE),
            base_url="https://api-engage-eu.sitecorecloud.io",
            credentials={"client_key": "a", "api_token": ""},
            ca_bundle=None,
            clock=MockedClock(),
            user_agent="lading tests",
        )
