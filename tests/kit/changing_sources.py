"""Sources that change from run to run, and a check of what both vendors hold after any number of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.deployment import BDP, CDP, Deployment

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

    from kit.zygote import Zygote

#: Keys that are missing in some versions and present in others; their records may be delivered more than once.
_REAPPEARING_KEYS = tuple(f'"G{n}"' for n in range(12, 16))


def write_version(folder: Path, number: int) -> None:
    """Write sources of this version: some rows equal those of earlier versions, some differ, some are new."""
    guests = [
        f"G{n},guest {_letters(number if n % 3 == 0 else 0)},guest{n}@example.com" for n in range(1, 12 + number % 5)
    ]
    (folder / "guests.csv").write_text(
        "\n".join(["id,name,email", *guests, "G0,bad,no-at-sign"]) + "\n", encoding="utf-8"
    )
    vehicles = [f"V{n},1HGCM82633A{_sign(number if n % 4 == 0 else 0)}{n:03d},," for n in range(1, 9 + number % 4)]
    (folder / "vehicles.csv").write_text(
        "\n".join(["id,vin,plate,state", *vehicles, "V0,SHORT,,"]) + "\n", encoding="utf-8"
    )


def finish(zygote: Zygote) -> None:
    """Run `sync` twice: in the first run, newer versions of rows may be deferred behind rows in flight."""
    for _ in range(2):
        assert zygote.run("sync").code in (0, 4), zygote.log.read_text("utf-8")[-5000:]
    assert "Traceback" not in zygote.log.read_text("utf-8")


def violations(deployment: Deployment, zygote: Zygote, number: int) -> Iterator[str]:
    """Yield violations: rows or files delivered twice, rows of this version that are missing, unknown rows."""
    for vendor in (CDP, BDP):
        counts: Counter[str] = deployment.delivered(vendor)
        for name, count in counts.items():
            if count > 1 and not any(item in name for item in _REAPPEARING_KEYS):
                yield f"{vendor} received {count} times: {name}"
        yield from (
            f"{vendor}: two uploads: {batch}" for batch in deployment.mocks.batches(vendor) if batch["uploads"] > 1
        )
    guests = [item.get("value", item) for item in deployment.mocks.store(CDP)]
    stored = {guest["identifiers"][0]["id"] for guest in guests if guest.get("identifiers")}
    if lost := {f"G{n}" for n in range(1, 12 + number % 5)} - stored:
        yield f"{CDP} never received {', '.join(sorted(lost))}"
    for run in zygote.json("history", "--limit", "5")["runs"]:
        if run["settlement"]["unknown"]:
            yield f"run {run['run']} has unknown rows"


def _sign(number: int) -> str:
    """Return three characters that a VIN may contain, for a number below 33 cubed."""
    characters = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
    return "".join(characters[number // 33**place % 33] for place in (2, 1, 0))


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}")
