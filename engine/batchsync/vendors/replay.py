"""Replay recorded exchanges at running mocks, over HTTP, with the client of a connection."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from batchsync.core.batch import BatchFile
from batchsync.core.vendor_calls import CallName, ResponseClass
from batchsync.core.vendor_exchange import Deviation
from batchsync.errors import VendorError
from batchsync.vendors import response_parsing
from batchsync.vendors.bundled_mocks import post_control
from batchsync.vendors.choices import read_choice
from batchsync.vendors.connect import connect
from batchsync.vendors.dialect import ensure_ok, item_of, values
from batchsync.vendors.recorded import KEY, call_of, dialect_of, kind_of, meaning_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from batchsync.core.vendor_exchange import RecordedExchange, Replay
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import Clock
    from batchsync.vendors.bundled_mocks import BundledMocks
    from batchsync.vendors.client import HttpVendor
    from batchsync.vendors.dialect import Exchange

#: Calls whose response names the batch.
_NAMING = frozenset({CallName.ALLOCATE, CallName.FIND, CallName.UPLOAD, CallName.COMMIT})
#: Placeholders whose values an exchange may state for a mock; those of responses are learned.
_STATED = ("target.", "params.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MockPlayer:
    """Plays exchanges of one vendor at its mock.

    Attributes:
        rules_of: Returns the rules of the vendor with values of settings.
        exchanges: All exchanges of the vendor by name.
        mocks: The running mocks.
        clock: Clock whose `sleep` advances that of the mocks.
        folder: Existing folder for batch files.
    """

    rules_of: Callable[[Mapping[str, str]], VendorRules]
    exchanges: Mapping[str, RecordedExchange]
    mocks: BundledMocks
    clock: Clock
    folder: Path

    def deviations(self, recorded: RecordedExchange) -> tuple[Deviation, ...] | None:
        """Return where the mock answers otherwise than documented; None if the exchange has no replay.

        Args:
            recorded: The exchange. The mock forgets everything before it is played.

        Raises:
            UnavailableError: If the mocks do not respond.
        """
        replay = recorded.replay
        if replay is None:
            return None
        post_control(self.mocks, "reset", {})
        rules = self.rules_of(recorded.settings)
        base_url, credentials = self.mocks.of(rules.name)
        client = connect(
            rules,
            base_url=base_url,
            credentials=credentials,
            ca_bundle=None,
            clock=self.clock,
            user_agent="batchsync vendors check",
        )
        file = write_batch_file(self.folder, rules, replay.file)
        known: dict[str, str | int | None] = {f"credentials.{name}": value for name, value in credentials.items()}
        # The idempotency key serves as the id of a batch until the vendor gives one.
        known |= {"idempotency_key": KEY, "allocation.id": KEY}
        known |= {name: item for name, item in values(file=file).items() if name.startswith("file.")}
        dialog = _Dialog(rules=rules, client=client, file=file, known=known)
        try:
            return tuple(self._play(dialog, recorded, replay))
        except VendorError as failure:
            return (Deviation(at="replay", message=failure.reason),)

    def _play(self, dialog: _Dialog, recorded: RecordedExchange, replay: Replay) -> Iterator[Deviation]:
        """Play what precedes an exchange and the exchange itself; yield the deviations of its response."""
        for number, step in enumerate(replay.after):
            if isinstance(step, str):
                try:
                    ensure_ok(dialog.send(self.exchanges[step], {}))
                except VendorError as failure:
                    yield Deviation(at=f"replay.after.{number}", message=failure.reason)
                    return
            else:
                self.clock.sleep(timedelta(seconds=step))
        exchange = dialog.send(recorded, replay.changes)
        documented: Mapping[str, Any] = recorded.response
        if exchange.response.status != documented["status"]:
            yield Deviation(at="response.status", message=f"the mock answers {exchange.describe()}")
        elif "json" in documented and not replay.any_answer:
            found = _parsed(exchange.response.body)
            for path in missing_members(documented["json"], found):
                message = "the mock's answer lacks it, or has another type there"
                yield Deviation(at=f"response.json{path.replace('/', '.')}", message=message)
        understood, kind = meaning_of(dialog.rules, recorded, exchange), kind_of(recorded)
        same = understood.get(kind) == recorded.meaning[kind] if kind in {"status", "failure"} else kind in understood
        if not same or (kind == "status" and understood != recorded.meaning):
            shown = ", ".join(f"{name}: {value}" for name, value in understood.items())
            yield Deviation(at="meaning", message=f"the mock's answer means {shown}")


@dataclass(slots=True, kw_only=True)
class _Dialog:
    """A dialog with a mock: the client, and the values of placeholders that are known so far."""

    rules: VendorRules
    client: HttpVendor
    file: BatchFile
    known: dict[str, str | int | None] = field(default_factory=dict)

    def send(self, recorded: RecordedExchange, changes: Mapping[str, str | int]) -> Exchange:
        """Send the request of an exchange, and take the values that its response has."""
        stated = {name: value for name, value in recorded.given.items() if name.startswith(_STATED)}
        known = {**stated, **self.known, **changes}
        exchange = self.client.exchange(call_of(self.rules, recorded), known, self.file)
        self._learn(recorded, exchange, known)
        return exchange

    def _learn(self, recorded: RecordedExchange, exchange: Exchange, known: Mapping[str, str | int | None]) -> None:
        """Take the values that the client would take from a successful response."""
        try:
            if ensure_ok(exchange) is not ResponseClass.OK:
                return
            choice = dialect_of(self.rules).describe.choice
            if choice is not None and recorded.call == "describe.choice.call":
                wanted = str(known.get(f"target.{choice.target}", ""))
                self.known[f"params.{choice.param}"] = read_choice(exchange, choice, wanted)
                return
            body = item_of(exchange, known) if exchange.call.read else None
        except VendorError:
            return
        group = "allocation" if recorded.call in _NAMING else "found"
        for name, pointers in exchange.call.read.items():
            if (value := response_parsing.text(body, pointers)) is not None:
                self.known[f"{group}.{name}"] = value


def write_batch_file(folder: Path, rules: VendorRules, text: str) -> BatchFile:
    """Write a batch file of a vendor.

    Args:
        folder: Existing folder.
        rules: The vendor; decides on suffix and compression.
        text: Content of the file, before compression.

    Returns:
        The batch file, with its digests.
    """
    data = gzip.compress(text.encode(), mtime=0) if rules.file.gzip else text.encode()
    path = folder / f"batch{rules.file.suffix}"
    path.write_bytes(data)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    digest = hashlib.sha256(data).hexdigest()
    return BatchFile(path=str(path), row_manifest="", size=len(data), rows=text.count("\n"), digest=digest, md5=md5)


def missing_members(documented: Any, found: Any, at: str = "") -> list[str]:
    """Return the paths of documented members that are missing from a response, or have another type.

    Null stands for any type, and the first item of a list for all.

    Args:
        documented: JSON value that the documentation shows.
        found: JSON value of a response.
        at: Path of both, for the result.
    """
    if documented is None or found is None:
        return []
    if type(documented) is not type(found):
        return [at]
    if isinstance(documented, dict):
        missing = [f"{at}/{name}" for name in documented if name not in found]
        both = [name for name in documented if name in found]
        return missing + [
            path for name in both for path in missing_members(documented[name], found[name], f"{at}/{name}")
        ]
    if isinstance(documented, list) and documented and found:
        return missing_members(documented[0], found[0], f"{at}/0")
    return []


def _parsed(body: bytes) -> Any:
    """Return the JSON of a body; a text that is none otherwise."""
    try:
        return json.loads(body)
    except ValueError:
        return ""
