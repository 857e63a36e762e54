"""`batchsync vendors check`: validate a vendor's folder, and play its exchanges."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchsync import spec
from batchsync.cli.command import command
from batchsync.cli.session import Answer, Session
from batchsync.cli.vendor_folders import refuse_outside
from batchsync.core.vendor_exchange import PlayedExchange
from batchsync.errors import ExitCode, UsageError
from batchsync.report.vendor_check import PlacedDeviation, VendorCheckReport
from batchsync.system_clock import SystemClock
from batchsync.util.scratch import scratch_folder
from batchsync.util.suggestions import names_hint
from batchsync.vendors.bundled_mocks import MockedTime, bundled_mocks
from batchsync.vendors.recorded import client_deviations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.vendor_exchange import Deviation, RecordedExchange
    from batchsync.core.vendor_rules import VendorRules


@command("check", example="batchsync vendors check ./acme\nbatchsync vendors check ./acme --no-mock -o md")
@click.argument("folder", metavar="FOLDER")
@click.option("--no-mock", is_flag=True, help="Play the exchanges against the client only; start no mock.")
def check(session: Session, folder: str, *, no_mock: bool) -> Answer:
    """Check the folder of a vendor: its files, its exchanges, and what it assumes.

    Every problem in vendor.yaml, the record schemas, exchanges/ and facts.yaml is shown with its place. Then each
    exchange is played: the client must build the documented request and understand the documented response, and the
    mock of the folder, a process of its own, must answer as documented where the exchange has a `replay`. Last come the
    sources that say "assumed", the facts that are assumed, and what the folder does not say, each with what follows.
    The name of an available vendor may stand for a folder. No vendor is asked.

    Exit 0: no deviation; 2: a file is invalid; 3: the mocks are not installed or do not start; 9: an exchange deviates.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no such folder or vendor.
        SpecError: If a file of the folder is invalid.
        UnavailableError: If the mock does not start.
    """
    name = _vendor_of(session, folder)
    rules, findings = spec.load_folder(name)
    if rules.dialect is None:
        raise UsageError(f"{folder}: a Python package implements this vendor", hint="its own tests check it")
    played = tuple(_played(name, findings.exchanges, no_mock=no_mock))
    deviating = any(not item.holds for item in played)
    report = VendorCheckReport(
        vendor=rules.name,
        title=rules.title,
        schemas=tuple(rules.schemas),
        played=played,
        deviations=tuple(_placed(played)),
        findings=findings,
        mocked=not no_mock,
        next_step=_next_step(folder, deviating=deviating, has_starter=spec.has_starter(name)),
    )
    return Answer(report=report, exit_code=ExitCode.TESTS_FAILED if deviating else ExitCode.DONE)


def _vendor_of(session: Session, folder: str) -> str:
    """Return the name of a vendor, or a folder as `load_vendor` takes it."""
    known = spec.available_vendors()
    if "/" not in folder and folder in known:
        return folder
    if not Path(folder).is_dir():
        hint = "name a folder with a vendor.yaml" if "/" in folder else names_hint(folder, known, "vendors")
        raise UsageError(f"no folder {folder}", hint=f"{hint}; `batchsync vendors new NAME` writes one")
    refuse_outside(session, folder)
    return folder if "/" in folder else f"./{folder}"


def _played(name: str, exchanges: tuple[RecordedExchange, ...], *, no_mock: bool) -> Iterator[PlayedExchange]:
    """Yield each exchange as played against the client, and at the mock of the vendor if it has a replay."""

    def rules_of(settings: Mapping[str, str]) -> VendorRules:
        return spec.load_vendor(name, settings)

    client = {item.name: client_deviations(rules_of(item.settings), item) for item in exchanges}
    if no_mock or not any(item.replay for item in exchanges):
        yield from (PlayedExchange(exchange=item, client=client[item.name]) for item in exchanges)
        return
    real = SystemClock(lambda _: None)
    with scratch_folder() as scratch, bundled_mocks([spec.vendor_source(name)], scratch / "mocks", real) as mocks:
        from batchsync.vendors.replay import MockPlayer  # noqa: PLC0415 - help sends no request

        player = MockPlayer(
            rules_of=rules_of,
            exchanges={item.name: item for item in exchanges},
            mocks=mocks,
            clock=MockedTime(mocks, real),
            folder=scratch,
        )
        for item in exchanges:
            yield PlayedExchange(exchange=item, client=client[item.name], mock=player.deviations(item))


def _placed(played: tuple[PlayedExchange, ...]) -> Iterator[PlacedDeviation]:
    """Yield all deviations with their places."""
    for item in played:
        groups: tuple[tuple[str, tuple[Deviation, ...]], ...] = (("client", item.client), ("mock", item.mock or ()))
        for by, found in groups:
            for deviation in found:
                line, column = spec.place_of(Path(item.exchange.file), tuple(deviation.at.split(".")))
                yield PlacedDeviation(
                    exchange=item.exchange.name,
                    by=by,
                    file=item.exchange.file,
                    line=line,
                    column=column,
                    at=deviation.at,
                    message=deviation.message,
                )


def _next_step(folder: str, *, deviating: bool, has_starter: bool) -> str:
    """Return the next command."""
    if deviating:
        return f"correct the files, then `batchsync vendors check {shlex.quote(folder)}`"
    if has_starter:
        return f"`batchsync init sync --vendor {shlex.quote(folder)}`, then `batchsync sync --mocks` in that folder"
    return f"name the folder in jobs.yaml (`vendor: {folder}`), then `batchsync sync --mocks`"
