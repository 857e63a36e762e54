"""The compact parts of the store give back what was put in, as the plain ones would."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lading_mocks.sitecore.names import Names
from lading_mocks.sitecore.values import Values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MOVES = st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(1, 4)), max_size=30)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), min_size=1, max_size=20), st.randoms())
@settings(max_examples=60, deadline=None)
def test_every_value_comes_back_in_any_order(values: list[dict[str, Any]], chance: Any) -> None:
    held = Values()
    padded = [{**value, "": "x" * 9000} for value in values]
    places = [(held.put(value), value) for value in padded]
    chance.shuffle(places)
    assert all(held.get(place) == value for place, value in places)


@given(MOVES)
@settings(max_examples=100, deadline=None)
def test_a_name_leads_to_guests_in_the_order_in_which_they_took_it(moves: list[tuple[bool, str, int]]) -> None:
    held, model = Names(), {word: dict[int, None]() for word in "abc"}
    for adds, word, number in moves:
        if adds and number not in model[word]:
            held.add(("p", word), number)
            model[word][number] = None
        elif not adds and number in model[word]:
            held.remove(("p", word), number)
            del model[word][number]
    names = [("p", word) for word in "cab"]
    assert held.find(names) == list(model["c"] | model["a"] | model["b"])
    assert held.find([("p", "none")]) == []
