"""The functions of expressions, by name: what the compiler calls, and what the reference lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.data.sql.values import Refusal, name_of
from batchsync.util.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsync.data.sql.values import Scope, Typed

    Builder = Callable[[Scope, list[Typed]], Typed]


@dataclass(frozen=True, slots=True)
class Function:
    """A function.

    Attributes:
        name: Its name in lower case.
        group: What it is about: a heading of the reference.
        usage: Call with names for the arguments, for messages and the reference.
        summary: What it returns.
        example: A call with constants.
        result: What the example gives, as text.
        arity: Minimum and maximum number of arguments.
        build: Compiles a call; None for functions that the compiler treats itself, because not all arguments of a
            call are computed in every row.
        is_ours: Whether PostgreSQL has no such function.
    """

    name: str
    group: str
    usage: str
    summary: str
    example: str
    result: str
    arity: tuple[int, int]
    build: Builder | None
    is_ours: bool = False


#: No limit for the number of arguments, other than the length of an expression.
MANY = 1000
FUNCTIONS: dict[str, Function] = {}
#: Other names of functions.
SYNONYMS: dict[str, str] = {}
_AGGREGATES_TEXT = """
sum avg mean count min max first last any_value array_agg string_agg group_concat listagg median mode stddev
stddev_pop stddev_samp variance var_pop var_samp every bool_and bool_or quantile quantile_cont quantile_disc
percentile_cont percentile_disc row_number rank dense_rank lag lead first_value last_value nth_value ntile
cume_dist percent_rank corr covar_pop covar_samp json_agg jsonb_agg
"""
_AGGREGATES = frozenset(_AGGREGATES_TEXT.split())
_CLOCKS_TEXT = """
now today current_date current_time current_timestamp localtime localtimestamp clock_timestamp age
statement_timestamp transaction_timestamp timeofday sysdate getdate random uuid gen_random_uuid
"""
_CLOCKS = frozenset(_CLOCKS_TEXT.split())


def function(
    group: str, usage: str, summary: str, example: tuple[str, str], *, ours: bool = False, also: str = ""
) -> Callable[[Builder], Builder]:
    """Register the builder of a function.

    Args:
        group: Heading of the reference.
        usage: Call with names for the arguments; those in square brackets are optional, `...` stands for more.
        summary: What it returns.
        example: A call with constants, and what it gives as text.
        ours: Whether PostgreSQL has no such function.
        also: Other names, separated by blanks.

    Returns:
        A decorator that returns the builder itself.
    """

    def register(build: Builder) -> Builder:
        declare(group, usage, summary, example, build, ours=ours, also=also)
        return build

    return register


def declare(  # noqa: PLR0913 - the columns of the reference
    group: str,
    usage: str,
    summary: str,
    example: tuple[str, str],
    build: Builder | None,
    *,
    ours: bool = False,
    also: str = "",
) -> None:
    """Register a function; see `function`."""
    name, _, rest = usage.partition("(")
    required, bracket, optional = rest.removesuffix(")").partition("[")
    minimum = len([item for item in required.split(",") if item.strip() and "..." not in item])
    maximum = minimum + optional.count(",") + (not required.strip() and bool(optional)) if bracket else minimum
    maximum = MANY if "..." in rest else maximum
    FUNCTIONS[name] = Function(name, group, usage, summary, *example, (minimum, maximum), build, ours)
    SYNONYMS.update(dict.fromkeys(also.split(), name))


def find(name: str, count: int) -> Function:
    """Return the function of a call.

    Args:
        name: The name that was written.
        count: Number of arguments.

    Returns:
        The function.

    Raises:
        Refusal: If there is no such function, with the nearest name and the list, or if the arguments are too few or
            too many.
    """
    lower = name.lower()
    found = FUNCTIONS.get(SYNONYMS.get(lower, lower))
    if lower in ("max", "min", "first") or (found is None and lower in _AGGREGATES):
        hint = "Members of the record outside each: may combine the rows of a key, with sum, avg, min, max, count, "
        hint += "bool_and, bool_or, string_agg and first(x ORDER BY y)."
        if lower in ("max", "min"):
            hint += f" For the {lower}imum of several values of a row, write {_ROW_WISE[lower]}(a, b)."
        raise Refusal(f"{name}(...) needs more than one row of the source", hint, "expression_not_by_row")
    if found is None and lower in _CLOCKS:
        refused = clock(f"{name}()")
        raise Refusal(refused.message, refused.hint, refused.code)
    if found is None:
        names = sorted({*FUNCTIONS, *SYNONYMS})
        near = nearest(lower, names)
        known = f"The functions are: {', '.join(sorted(FUNCTIONS))}."
        raise Refusal(
            f"there is no function {name}", f"Did you mean {near}? {known}" if near else known, "expression_function"
        )
    minimum, maximum = found.arity
    if not minimum <= count <= maximum:
        raise Refusal(f"{name} takes other arguments than {count}", f"Write {found.usage}.")
    return found


_ROW_WISE = {"max": "greatest", "min": "least"}


def clock(written: str) -> Refusal:
    """Return the refusal of what reads the clock or draws a value."""
    hint = "Take the value from a column; otherwise every record would change with every run."
    return Refusal(f"{written} has another value in each run", hint, "expression_clock")


def argument(args: list[Typed], index: int) -> Typed | None:
    """Return an optional argument."""
    return args[index] if index < len(args) else None


def constant(part: Typed, what: str) -> str:
    """Return an argument that must be text in quotes.

    Raises:
        Refusal: If it is not.
    """
    if part.untyped and isinstance(part.constant, str):
        return part.constant
    raise Refusal(f"{what} must be text in single quotes", f"Write {what} as a constant.")


def whole_constant(part: Typed, what: str) -> int:
    """Return an argument that must be a whole number.

    Raises:
        Refusal: If it is not.
    """
    if isinstance(part.constant, int):
        return part.constant
    raise Refusal(f"{what} must be a whole number as a constant", f"Write {what} as a number.")


def require(part: Typed, fits: bool, wanted: str, use: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Refuse an argument of another type than a function takes.

    Raises:
        Refusal: If it does not fit.
    """
    if not fits:
        advice = {"text": "TEXT", "a number": "NUMERIC", "a whole number": "BIGINT", "a list": ""}.get(wanted, "")
        hint = f"Write CAST(x AS {advice})." if advice else "Cast it, or parse text: CAST(x AS DATE)."
        raise Refusal(f"{use} takes {wanted}, not {name_of(part.kind)}", hint)


def synonyms_of(name: str) -> list[str]:
    """Return the other names of a function."""
    return [other for other, known in SYNONYMS.items() if known == name]


declare(
    "Conditions",
    "coalesce(value, ...)",
    "The first value that is not null. Of several parses (`strptime`, `date`, ...) the first whose format fits; text "
    "of no format makes the row invalid.",
    ("coalesce(NULL, 'a', 'b')", "a"),
    None,
    also="ifnull nvl",
)
declare("Conditions", "nullif(a, b)", "Null if a equals b, else a.", ("nullif('n/a', 'N/A')", "n/a"), None)
declare(
    "Conditions",
    "if(condition, value[, otherwise])",
    "The value where the condition is true; also `CASE WHEN ... THEN ... ELSE ... END`.",
    ("if(1 < 2, 'yes', 'no')", "yes"),
    None,
    ours=True,
    also="iff iif",
)
