"""Propose a mapping of columns to the members of a record schema, by names and by the form of values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.column_fit import CODES, ColumnFacts, fitted
from batchsync.core.record_schema import Format, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsync.core.record_schema import RecordSchema, Rule

#: Other names of members, normalized: letters and digits in lower case.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "firstname": ("givenname", "forename", "fname", "first", "vorname", "prenom"),
    "lastname": ("surname", "familyname", "lname", "last", "nachname", "nom"),
    "email": ("emailaddress", "mail", "emailaddr", "mailaddress", "contactemail"),
    "phonenumbers": ("phone", "phonenumber", "mobile", "mobilephone", "telephone", "tel", "cell", "cellphone"),
    "dateofbirth": ("birthdate", "birthday", "dob", "born", "geburtsdatum"),
    "title": ("prefix", "salutation", "honorific", "anrede"),
    "gender": ("sex", "geschlecht"),
    "street": ("address", "addressline1", "address1", "streetaddress", "strasse", "street1"),
    "city": ("town", "locality", "ort", "suburb"),
    "country": ("countrycode", "countryiso", "iso2", "land", "nation"),
    "postcode": ("zip", "zipcode", "postalcode", "plz", "postal"),
    "state": ("region", "province", "stateprovince", "statecode"),
    "language": ("lang", "locale", "languagecode", "preferredlanguage"),
    "passportnumber": ("passport", "passportno"),
    "referenceid": ("ordernumber", "orderid", "orderno", "ordernr", "reference", "ordercode"),
    "orderedat": ("orderdate", "orderdatetime", "orderedon", "ordertime", "purchasedat"),
    "currencycode": ("currency", "curr", "iso4217"),
    "price": ("total", "ordertotal", "amount", "totalamount", "totalprice", "unitprice"),
    "quantity": ("qty", "orderquantity", "count"),
    "productid": ("productkey", "sku", "productsku", "productcode", "articleno"),
    "paymenttype": ("payment", "paymentmethod"),
    "firstseen": ("createdat", "created", "registeredat", "signupdate"),
    "lastseen": ("lastlogin", "lastvisit"),
    "vin": ("chassis", "chassisnumber", "vehicleidentificationnumber", "vinnumber"),
    "plate": ("platenumber", "registration", "registrationnumber", "rego", "licenceplate", "licenseplate"),
}
#: Shortest name that is recognized at the end of a longer one, as in CustomerEmail.
_SUFFIX_MIN = 4
_NORMAL = re.compile(r"[\W_]+")
#: Ends of names of columns that identify rows, the best first.
_KEY_NAMES = ("customerkey", "customerid", "guestid", "memberid", "key", "id", "number", "no", "code", "uuid", "vin")


@dataclass(frozen=True, slots=True)
class Guess:
    """Proposed member of a record.

    Attributes:
        name: Name of the member.
        value: Value as in jobs.yaml: a literal or, after `=`, an expression; empty for an object or a missing member.
        note: Why it is proposed, or what is missing.
        is_list: Whether the value is the only item of a list.
        column: Column whose values are codes, or words of a list that the vendor gives; else empty.
        is_missing: Whether nothing was found: it is required, or a column has its name and values that do not fit.
        members: Members of an object.
    """

    name: str
    value: str = ""
    note: str = ""
    is_list: bool = False
    column: str = ""
    is_missing: bool = False
    members: tuple[Guess, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Proposed job: its key column with a note, the members of its record, and the columns that it does not use."""

    key: str
    key_note: str
    members: tuple[Guess, ...]
    unused: tuple[str, ...]

    def found(self) -> tuple[Guess, ...]:
        """Return the members with a value, those of objects included."""
        return tuple(item for item in _all(self.members) if item.value)

    def missing(self) -> tuple[Guess, ...]:
        """Return the members without a value."""
        return tuple(item for item in _all(self.members) if item.is_missing)


def _all(members: Sequence[Guess]) -> Iterator[Guess]:
    for item in members:
        yield item
        yield from _all(item.members)


def propose(columns: Sequence[ColumnFacts], schema: RecordSchema, mode: str) -> Proposal:
    """Return a proposed mapping.

    Args:
        columns: What is known of the columns of the source, in its order.
        schema: Record schema of the vendor.
        mode: Mode of the job.
    """
    # Such as the index that data frames are written with: a name that cannot be written in jobs.yaml.
    unnamed = tuple(item.name for item in columns if not item.name.strip() or not item.name.isprintable())
    columns = [item for item in columns if item.name not in unnamed] or columns
    key = _key(columns)
    search = _Search(columns, schema.root, mode, key)
    allowed = schema.fields_in.get(mode)
    members = [
        guess
        for name, rule in schema.root.fields
        if allowed is None or name in allowed
        for guess in search.member(name, rule, required=_is_required(rule, mode))
    ]
    unused = tuple(item.name for item in columns if item.name not in search.used and item is not key)
    note = "its values are unique" if key.unique else "its values repeat: name the columns that identify a row"
    return Proposal(key=key.name, key_note=note, members=tuple(members), unused=(*unused, *unnamed))


def _is_required(rule: Rule, mode: str) -> bool:
    return mode in rule.required_in or "*" in rule.required_in


def normalized(name: str) -> str:
    """Return a name as letters and digits in lower case."""
    return _NORMAL.sub("", name.casefold())


def _key(columns: Sequence[ColumnFacts]) -> ColumnFacts:
    """Return the column that identifies rows: unique, without nulls, and with the name of a key if there is one."""

    def rank(item: ColumnFacts) -> tuple[bool, int, int]:
        """Return the order of a column among candidates, the best first."""
        name = normalized(item.name)
        ends = [number for number, end in enumerate(_KEY_NAMES) if name.endswith(end)]
        return (not item.unique, min(ends, default=len(_KEY_NAMES)), columns.index(item))

    flat = [item for item in columns if item.kind not in {"list", "other"}] or list(columns)
    return min(flat, key=rank)


@dataclass(slots=True)
class _Search:
    """Search for columns of members; a column is used once, but for the key."""

    columns: Sequence[ColumnFacts]
    root: Rule
    mode: str
    key: ColumnFacts
    used: set[str] = field(default_factory=set)

    def member(self, name: str, rule: Rule, *, required: bool) -> Iterator[Guess]:
        """Yield the proposal for a member; nothing if none is found and it is optional."""
        if rule.kind is Kind.OBJECT:
            yield from self._object(name, rule, required=required)
        elif rule.kind is Kind.ARRAY and rule.items is not None and rule.items.kind is Kind.OBJECT:
            yield from self._objects(name, rule.items, required=required)
        elif len(rule.enum) == 1:
            yield Guess(name, rule.enum[0], "the only value that the vendor takes")
        else:
            yield from self._value(name, rule, required=required)

    def _object(self, name: str, rule: Rule, *, required: bool) -> Iterator[Guess]:
        members = [
            guess
            for inner, inner_rule in rule.fields
            for guess in self.member(inner, inner_rule, required=required and _is_required(inner_rule, self.mode))
        ]
        if any(item.value for item in _all(members)):
            yield Guess(name, members=tuple(members))
        elif required:
            yield Guess(name, note="required, not found: an object", is_missing=True)

    def _objects(self, name: str, rule: Rule, *, required: bool) -> Iterator[Guess]:
        """Yield a list with the key, if its items are identifiers; other lists of objects are not guessed."""
        wanted = [inner for inner, inner_rule in rule.fields if _is_required(inner_rule, self.mode)]
        others = [inner for inner in wanted if inner != "id" and not (rule.field(inner) or rule).enum]
        if wanted and set(wanted) == {"id", *others}:
            members = (*(Guess(inner, "CRM", "name the system that gives the keys") for inner in others),)
            yield Guess(name, members=(*members, Guess("id", f"={sql_name(self.key.name)}", "the key")), is_list=True)
        elif required:
            yield Guess(name, note="required, not found: a list of objects", is_missing=True)

    def _value(self, name: str, rule: Rule, *, required: bool) -> Iterator[Guess]:
        is_list = rule.kind is Kind.ARRAY
        inner = rule.items if is_list and rule.items is not None else rule
        objections = []
        for column, why in self._candidates(name, inner):
            fit = fitted(column, inner, sql_name(column.name), is_name=normalized(name).endswith("name"))
            if fit.expression:
                self.used.add(column.name)
                note = f"{why}; {fit.note}" if fit.note else why
                code = column.name if inner.enum or inner.format in CODES else ""
                listed = is_list and column.kind != "list"
                yield Guess(name, f"={fit.expression}", note, is_list=listed, column=code)
                return
            objections.append(f"{column.name}: {fit.note}")
        if required or objections:
            text = "required, not found" if not objections else f"not guessed: {objections[0]}"
            if required and objections:
                text = f"required, {text}"
            choice = f": one of {', '.join(inner.enum[:8])}" if inner.enum and not objections else ""
            yield Guess(name, note=text + choice, is_missing=True)

    def _candidates(self, name: str, rule: Rule) -> Iterator[tuple[ColumnFacts, str]]:
        """Yield columns that may hold a member, the most likely first, each with the reason."""
        free = [item for item in self.columns if item.name not in self.used]
        wanted = normalized(name)
        singular = wanted.removesuffix("s")
        synonyms = SYNONYMS.get(wanted, ())
        yield from ((item, "by its name") for item in free if normalized(item.name) in {wanted, singular})
        yield from ((item, "by a synonym") for other in synonyms for item in free if normalized(item.name) == other)
        ends = [end for end in (wanted, *synonyms) if len(end) >= _SUFFIX_MIN]
        for item in free:
            column = normalized(item.name)
            if any(column.endswith(end) and column != end for end in ends):
                yield item, "by the end of its name"
        if rule.format is Format.EMAIL:
            yield from ((item, "by its values") for item in free if item.looks_like_addresses)


#: Words of SQL that are no names of columns without quotes.
_WORDS_TEXT = """
all and any as asc between both by case cast check column create cross current_date date default delete desc distinct
else end except exists false for from full group having in index inner insert interval into is join key left like limit
not null offset on or order outer primary references right row select set some table then time timestamp to true union
unique update user using values when where window with
"""
_WORDS = frozenset(_WORDS_TEXT.split())


def sql_name(column: str) -> str:
    """Return the name of a column as in an expression: in double quotes unless it is a plain name."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", column) is not None and column.casefold() not in _WORDS
    escaped = column.replace('"', '""')
    return column if plain else f'"{escaped}"'
