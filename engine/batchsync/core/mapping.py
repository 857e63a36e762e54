"""The `record:` mapping of a job as plain values: what a source row becomes for the vendor.

It does not know how expressions are evaluated (that is `data`) nor where they were written beyond a place to show.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file that a person wrote. Lines and columns count from 1; 0 is unknown."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return `file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Literal:
    """The same value for every row.

    `explicit` says that its text is meant as written (`== text`), or that it came from the environment.
    """

    value: str | int | float | bool
    place: Place = field(default=Place(), compare=False)
    explicit: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Expression:
    """A SQL expression over the source's columns, without its leading `=`."""

    sql: str
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Object:
    """An object with named members, in the order written."""

    members: tuple[tuple[str, Node], ...]
    place: Place = field(default=Place(), compare=False)

    def get(self, name: str) -> Node | None:
        """Return the member of that name, or None."""
        return dict(self.members).get(name)


@dataclass(frozen=True, slots=True)
class Array:
    """A list with a fixed number of items; an item that comes out empty is left out."""

    items: tuple[Node, ...]
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Each:
    """As a list's only item: the list has one item for each source row that shares the key, in source order."""

    item: Node
    place: Place = field(default=Place(), compare=False)


Node = Literal | Expression | Object | Array | Each
