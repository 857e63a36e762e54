"""Recorded exchanges of a vendor: a request, the response to it, and what it means; and what a check of them finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How an exchange is reproduced at a mock.

    Attributes:
        after: Exchanges that are played before it, by name, and numbers of seconds by which the clock is advanced.
        file: Content of the batch file, before compression.
        changes: Values of placeholders of the last request that differ from those of the dialog.
        any_answer: Whether the members of the response are not compared, only its status and meaning.
    """

    after: tuple[str | float, ...] = ()
    file: str = "nothing\n"
    changes: Mapping[str, str | int] = field(default_factory=dict)
    any_answer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedExchange:
    """An exchange that a file of a vendor's folder states.

    Attributes:
        name: Name of its file, without the suffix.
        file: Path of the file, for messages.
        about: What it shows, in a sentence.
        source: Document that shows it, or `assumed`.
        call: Path of the call in `vendor.yaml`, such as `poll` or `errors.downloads.0.call`.
        settings: Values of settings of the connection.
        now: When the response arrived; None if that does not matter.
        given: Values of placeholders by their full name.
        request: Members of the request: `method`, `url`, and `headers`, `json`, `form`, `file` or `parts`.
        response: Members of the response: `status`, and `headers`, `json` or `text`.
        meaning: What the client must understand, by kind.
        replay: How a mock reproduces it; None if it is compared with the client only.
    """

    name: str
    file: str
    about: str
    source: str
    call: str
    settings: Mapping[str, str] = field(default_factory=dict)
    now: datetime | None = None
    given: Mapping[str, str | int | None] = field(default_factory=dict)
    request: Mapping[str, object]
    response: Mapping[str, object]
    meaning: Mapping[str, object]
    replay: Replay | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A difference between an exchange and what plays it: `at` is the path in the file of the exchange."""

    at: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedExchange:
    """Result of playing an exchange.

    Attributes:
        exchange: The exchange.
        client: Deviations of the client: the request it builds, and how it understands the response.
        mock: Deviations of the mock; None if it was not played there.
    """

    exchange: RecordedExchange
    client: tuple[Deviation, ...] = ()
    mock: tuple[Deviation, ...] | None = None

    @property
    def holds(self) -> bool:
        """Whether there is no deviation."""
        return not self.client and not self.mock


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """A statement of a vendor's folder that no document supports, with its place."""

    file: str
    line: int
    column: int
    at: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstated:
    """What a vendor's folder does not say: `at` is where `vendor.yaml` would say it, `effect` what follows."""

    at: str
    missing: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFindings:
    """What the valid files of a vendor's folder say, besides its rules.

    Attributes:
        exchanges: Recorded exchanges, in the order of their names.
        facts: Number of facts.
        assumptions: What is assumed, by file and line.
        unstated: What the folder does not say.
    """

    exchanges: tuple[RecordedExchange, ...]
    facts: int
    assumptions: tuple[Assumption, ...]
    unstated: tuple[Unstated, ...]
