"""The `record:` mapping of a job as frozen values. `data` compiles and evaluates it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """Location in a YAML file. Lines and columns count from 1; 0 means unknown."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return `file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Literal:
    """Constant value.

    `explicit`: the text is meant as written (`== text`) or came from the environment, and is not checked for mistakes.
    """

    value: str | int | float | bool
    place: Place = field(default=Place(), compare=False)
    explicit: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Expression:
    """SQL expression over the columns of the source, without its leading `=`."""

    sql: str
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Object:
    """Object with named members, in the order of jobs.yaml."""

    members: tuple[tuple[str, Node], ...]
    place: Place = field(default=Place(), compare=False)

    def get(self, name: str) -> Node | None:
        """Return the member of a name, or None."""
        return dict(self.members).get(name)


@dataclass(frozen=True, slots=True)
class Array:
    """List with fixed items; an item that evaluates to empty is omitted."""

    items: tuple[Node, ...]
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Each:
    """Only item of a list that has an item for each source row of the key.

    `order` are the expressions that the items are ordered by; without any they keep source order, which is no content.
    """

    item: Node
    place: Place = field(default=Place(), compare=False)
    order: tuple[Expression, ...] = ()


Node = Literal | Expression | Object | Array | Each
