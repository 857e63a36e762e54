"""Compressed value store and identity index, compared with plain dictionaries."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync_mocks.sitecore.identity_index import IdentityIndex
from batchsync_mocks.sitecore.value_store import ValueStore

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MOVES = st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(1, 4)), max_size=30)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), min_size=1, max_size=20), st.randoms())
@settings(max_examples=60, deadline=None)
def test_stored_values_are_returned_in_any_order(values: list[dict[str, Any]], chance: Any) -> None:
    store = ValueStore()
    padded = [{**value, "": "x" * 9000} for value in values]
    positions = [(store.put(value), value) for value in padded]
    chance.shuffle(positions)
    assert all(store.get(position) == value for position, value in positions)


@given(MOVES)
@settings(max_examples=100, deadline=None)
def test_identity_lookup_returns_guests_in_order_of_addition(moves: list[tuple[bool, str, int]]) -> None:
    store, model = IdentityIndex(), {identity: dict[int, None]() for identity in "abc"}
    for adds, identity, number in moves:
        if adds and number not in model[identity]:
            store.add(("p", identity), number)
            model[identity][number] = None
        elif not adds and number in model[identity]:
            store.remove(("p", identity), number)
            del model[identity][number]
    identities = [("p", identity) for identity in "cab"]
    assert store.find(identities) == list(model["c"] | model["a"] | model["b"])
    assert store.find([("p", "none")]) == []
