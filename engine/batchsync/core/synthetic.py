"""Synthetic values of the form of real ones, for tests that are kept in a repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_LETTERS = "sampletxvoron"
_DATE = re.compile(r"([0-9]{1,4})([/.-])([0-9]{1,2})([/.-])([0-9]{1,4})(.*)", re.DOTALL)
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?")
_YEAR_DIGITS = 4


def synthetic_row(row: Mapping[str, str], kept: Collection[str], number: int) -> dict[str, str]:
    """Return a row with other values of the same form.

    Args:
        row: Values of the real row by column, as text.
        kept: Columns whose values are kept: codes and words of a list, which identify no person.
        number: Number of the row, from 1; gives different rows different values.
    """
    return {name: text if name in kept else synthetic(text, number) for name, text in row.items()}


def synthetic(text: str, number: int) -> str:
    """Return another value of the form of a text: an address, a date, a number, or letters of the same case.

    Args:
        text: The real value.
        number: Number of the row, from 1.
    """
    if "@" in text:
        address = f"person{number}@example.com"
        return address.upper() if text == text.upper() else address
    if found := _DATE.fullmatch(text):
        year_first = len(found[1]) == _YEAR_DIGITS
        year = "1980"
        day, month = "1" * len(found[5 if year_first else 1]), "0" * (len(found[3]) - 1) + "5"
        parts = (year, month, day) if year_first else (day, month, year)
        return f"{parts[0]}{found[2]}{parts[1]}{found[4]}{parts[2]}{re.sub('[0-9]', '0', found[6])}"
    if _NUMBER.fullmatch(text):
        return _digits(text, number)
    return "".join(_letter(char, index, number) for index, char in enumerate(text))


def _digits(text: str, number: int) -> str:
    """Return a number with other digits, and the same number of them."""
    return "".join(str((index + number) % 9 + 1) if char.isdigit() else char for index, char in enumerate(text))


def _letter(char: str, index: int, number: int) -> str:
    """Return another letter of the same case, or another digit; other characters stay."""
    if char.isdigit():
        return str((index + number) % 9 + 1)
    if not char.isalpha():
        return char
    letter = _LETTERS[(index + 3 * number) % len(_LETTERS)]
    return letter.upper() if char.isupper() else letter
