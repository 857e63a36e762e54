"""Deployments that make and apply plan files of the job `guests`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

#: The plan file of the tests, in the folder of the deployment.
PLAN = "guests.plan"


def write_guests(deployment: Deployment, *numbers: int, name: str = "guest", also: str = "") -> None:
    """Write guests.csv with these guests, and further lines."""
    rows = [f"K{number},{name} {number},guest{number}@example.com" for number in numbers]
    text = "\n".join(["id,name,email", *rows, ""])
    (deployment.folder / "guests.csv").write_text(text + also, encoding="utf-8")


def edit(deployment: Deployment, old: str, new: str) -> None:
    """Edit jobs.yaml."""
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), encoding="utf-8")


def sent(deployment: Deployment) -> list[str]:
    """Return mode and id of each record that the vendor received, in order; `delete K3` for a removal."""
    return [f"{entry['mode']} {_id(entry)}" for entry in deployment.mocks.ledger(CDP, values=True)]


def _id(entry: dict[str, object]) -> str:
    value = entry["value"]
    assert isinstance(value, dict)
    return str(value["identifiers"][0]["id"])


def stderr(deployment: Deployment) -> str:
    """Return all that the last command printed."""
    return (deployment.folder / "last.log").read_text(encoding="utf-8")
