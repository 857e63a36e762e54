"""Sources that change from run to run, and what both vendors must hold after any number of them.

It kills nothing; `test_real_kills` and `kit.syscall_kills` do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.deployment import BDP, CDP, Deployment

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

    from kit.zygote import Zygote

#: These leave with some sources and come back with others; nothing else is ever the same again.
_COME_AND_GO = tuple(f'"G{n}"' for n in range(12, 16))


def write(folder: Path, number: int) -> None:
    """Write sources in which some rows are those of before, some have changed, and some are new."""
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
    """Run the same command until it has nothing more to do: a newer version may have waited for one in flight."""
    for _ in range(2):
        assert zygote.run("sync").code in (0, 4), zygote.log.read_text("utf-8")[-5000:]
    assert "Traceback" not in zygote.log.read_text("utf-8")


def wrong(deployment: Deployment, zygote: Zygote, number: int) -> Iterator[str]:
    """Yield what is wrong in the vendors' ledgers, by themselves and against the sources of this number."""
    for vendor in (CDP, BDP):
        counts: Counter[str] = deployment.delivered(vendor)
        for name, count in counts.items():
            if count > 1 and not any(one in name for one in _COME_AND_GO):
                yield f"{vendor} got {count} times: {name}"
        yield from (f"{vendor}: two uploads: {one}" for one in deployment.mocks.batches(vendor) if one["uploads"] > 1)
    guests = [one.get("value", one) for one in deployment.mocks.store(CDP)]
    held = {one["identifiers"][0]["id"] for one in guests if one.get("identifiers")}
    if lost := {f"G{n}" for n in range(1, 12 + number % 5)} - held:
        yield f"{CDP} never got {', '.join(sorted(lost))}"
    for run in zygote.json("history", "--limit", "5")["runs"]:
        if run["settlement"]["unknown"]:
            yield f"run {run['run']} has unknown rows"


def _sign(number: int) -> str:
    """Return three of the signs that a VIN may have, for a number below 33 to the third."""
    signs = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
    return "".join(signs[number // 33**place % 33] for place in (2, 1, 0))


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}")
