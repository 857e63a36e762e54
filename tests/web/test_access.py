"""Rules of access to the page: addresses, host names, tokens, sessions, proxies, and the origin of forms."""

from __future__ import annotations

import pytest

from batchsync.errors import UsageError
from batchsync.web.access import SESSION_COOKIE, VALUES_COOKIE, Access, Address

WORD = "0123456789abcdef"


def access(
    address: str = "127.0.0.1:8321", *, token: str = "", trusted_header: str = "", names: frozenset[str] = frozenset()
) -> Access:
    """Return rules of access whose clock stands still."""
    return Access(
        address=Address.parse(address),
        monotonic=lambda: 100.0,
        token=token,
        trusted_header=trusted_header,
        names=names,
    )


@pytest.mark.parametrize("text", ["8321", "127.0.0.1", ":8321", "host:99999", "http://host:1", "a@b:1", "[::1:8", ""])
def test_address_without_host_or_port_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not an address with a port"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1:1", True), ("[::1]:1", True), ("localhost:1", True), ("0.0.0.0:1", False), ("10.0.0.7:1", False)],
)
def test_other_machines_need_a_token_or_a_proxy(address: str, *, loopback: bool) -> None:
    assert Address.parse(address).is_loopback is loopback
    assert access(address, token=WORD).user({}, {}) is None
    assert access(address, trusted_header="X-User").user({"x-user": "ann"}, {}) == "ann"
    if loopback:
        assert access(address).user({}, {}) == ""
        return
    with pytest.raises(UsageError, match="without a token"):
        access(address)


def test_short_token_is_refused() -> None:
    with pytest.raises(UsageError, match="fewer than 16 characters"):
        access(token=WORD[:-1])


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8321", True),
        ("localhost:8321", True),
        ("[::1]:8321", True),
        ("LOCALHOST", True),
        ("page.example", True),
        ("evil.example:8321", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_foreign_host_names_are_refused(host: str, *, known: bool) -> None:
    assert access(names=frozenset({"page.example"})).is_known_host(host) is known


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"origin": "http://localhost:8321", "host": "localhost:8321"}, True),
        ({"origin": "https://page.example", "host": "page.example", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://localhost:8322", "host": "localhost:8321"}, False),
        ({"origin": "http://evil.example", "host": "localhost:8321"}, False),
        ({"origin": "null", "host": "localhost:8321"}, False),
        ({"host": "localhost:8321"}, False),
        ({"origin": "http://localhost:8321", "host": "localhost:8321", "sec-fetch-site": "cross-site"}, False),
        ({}, False),
    ],
)
def test_forms_of_other_pages_are_refused(headers: dict[str, str], *, same: bool) -> None:
    assert access().is_same_origin(headers) is same


def test_token_opens_sessions_that_end() -> None:
    now = [0.0]
    rules = Access(address=Address.parse("10.0.0.7:1"), monotonic=lambda: now[0], token=WORD)
    assert rules.user({"authorization": f"Bearer {WORD}"}, {}) == ""
    assert rules.user({"authorization": f"Bearer {WORD}x"}, {}) is None
    assert rules.user({"authorization": f"Basic {WORD}"}, {}) is None
    cookies = {SESSION_COOKIE: rules.open_session()}
    assert rules.user({}, cookies) == ""
    assert rules.user({}, {SESSION_COOKIE: "x"}) is None
    now[0] = 12 * 3600 + 1
    assert rules.user({}, cookies) is None
    cookies = {SESSION_COOKIE: rules.open_session()}
    rules.close_session(cookies)
    assert rules.user({}, cookies) is None
    assert WORD not in repr(rules)


def test_values_are_shown_for_some_minutes() -> None:
    now = [0.0]
    rules = Access(address=Address.parse("127.0.0.1:1"), monotonic=lambda: now[0])
    assert not rules.shows_values({})
    cookies = {VALUES_COOKIE: rules.show_values()}
    assert rules.shows_values(cookies)
    assert not rules.shows_values({VALUES_COOKIE: "guess"})
    now[0] = 15 * 60 + 1
    assert not rules.shows_values(cookies)


def test_proxy_must_name_a_user() -> None:
    rules = access("0.0.0.0:1", trusted_header="X-Forwarded-User")
    assert rules.user({}, {}) is None
    assert rules.user({"x-forwarded-user": "  "}, {}) is None
    assert rules.user({"x-forwarded-user": " ann "}, {}) == "ann"


def test_old_sessions_make_room_for_new_ones() -> None:
    rules = access(token=WORD)
    first = {SESSION_COOKIE: rules.open_session()}
    for _ in range(1_000):
        rules.open_session()
    assert rules.user({}, first) is None
