"""Sitecore mock: stored numbers have the digits that were received, in the process and over HTTP."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from mock_clients import SITECORE, SitecoreClient, named, order, record

from batchsync_mocks import exact_numbers

if TYPE_CHECKING:
    from batchsync_mocks import Running

NUMBERS = ["9999999999999.99999", "99999999999999.994", "9007199254740993.0", "0.1", "5.0", "1E-400", "1e22", "-0.0"]


def _send(sitecore: SitecoreClient, *entries: dict[str, Any], number: str) -> None:
    """Send records in which the text `NUMBER` is replaced by a number."""
    lines = [json.dumps(entry).replace('"NUMBER"', number) for entry in entries]
    sitecore.send(gzip.compress("\n".join(lines).encode(), mtime=0))
    sitecore.running.advance(15)


@pytest.mark.parametrize("number", NUMBERS)
def test_store_shows_the_digits_that_were_received(sitecore: SitecoreClient, mocks: Running, number: str) -> None:
    extension = {"name": "ext", "key": "default", "v": "NUMBER", "t": "x"}
    guest = record("guest", "upsert", guestType="customer", identifiers=named("1"), extensions=[extension])
    _send(sitecore, guest, record("order", "insert", **order(price="NUMBER", customer="2")), number=number)
    text = requests.get(f"{mocks.urls[SITECORE]}/_mock/store", headers=mocks.control_headers, timeout=10).text
    over_http = json.loads(text, parse_float=Decimal, parse_int=Decimal)["objects"]
    for objects in (mocks.store(SITECORE), over_http):
        values = [entry["value"] for entry in objects]
        prices = [value["price"] for value in values if "price" in value]
        extensions = [value["extensions"][0]["v"] for value in values if "extensions" in value]
        assert [Decimal(str(value)) for value in (*prices, *extensions)] == [Decimal(number)] * 2


def test_number_with_many_digits_is_a_number(sitecore: SitecoreClient) -> None:
    assert sitecore.submit(record("order", "insert", **order(price=10**30))) == []


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(_VALUES, st.from_regex(r"-?[1-9][0-9]{0,20}\.[0-9]{1,20}([eE][+-]?[0-9]{1,2})?", fullmatch=True))
@settings(max_examples=100, deadline=None)
def test_json_is_written_with_the_digits_that_were_read(value: Any, number: str) -> None:
    text = f'[{json.dumps(value)},{number},{{"a":{number}}}]'
    read = json.loads(text, parse_float=exact_numbers.parse)
    assert exact_numbers.from_builtin(exact_numbers.to_builtin(read)) == read
    written = json.loads(exact_numbers.dumps(read), parse_float=Decimal)
    assert written == json.loads(text, parse_float=Decimal)
