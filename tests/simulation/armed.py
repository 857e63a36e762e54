"""What is wrong in one life: faults at the mocks and on the wire, and damage on the disk. It ends with the life."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

    from batchsync_mocks.control import MockContext
    from simulation.trouble import Planned
    from simulation.wire import Network


class Armed:
    """What is armed at the mocks of a kit and on its wire."""

    def __init__(self, kit: MockContext, network: Network) -> None:
        """Begin with nothing armed."""
        self._kit, self._network = kit, network

    def arm(self, planned: Sequence[Planned]) -> None:
        """Let these faults strike from now on."""
        for item in planned:
            if item.fault:
                self._kit.faults.arm([item.fault])
            if item.trouble:
                self._network.arm(item.trouble)

    def struck(self) -> bool:
        """Whether any of the faults that are armed struck."""
        return any(self._at_mocks()) or any(self._on_wire())

    def disarm(self, planned: Sequence[Planned]) -> list[Planned]:
        """Take away what `arm` armed; return what of it struck."""
        struck = dict(zip([id(item) for item in planned if item.fault], self._at_mocks(), strict=True))
        struck |= dict(zip([id(item) for item in planned if item.trouble], self._on_wire(), strict=True))
        self.clear()
        return [item for item in planned if struck[id(item)]]

    def clear(self) -> None:
        """Take everything away."""
        self._kit.faults.clear()
        self._network.troubles.clear()

    def _at_mocks(self) -> list[int]:
        return [item["hits"] for item in self._kit.faults.report()]

    def _on_wire(self) -> list[int]:
        return [counts[1] for _, counts in self._network.troubles]


class Damage:
    """One byte of one file that is another one than it was."""

    def __init__(self) -> None:
        """Begin with nothing damaged."""
        self._kept: tuple[Path, bytes] | None = None

    @property
    def done(self) -> bool:
        """Whether something is damaged now."""
        return self._kept is not None

    def break_one(self, files: Sequence[Path], draw: random.Random) -> None:
        """Change a byte of one of these files."""
        path = draw.choice(files)
        kept = path.read_bytes()
        at = draw.randrange(len(kept))
        path.chmod(0o600)
        path.write_bytes(kept[:at] + bytes([kept[at] ^ 0x20]) + kept[at + 1 :])
        self._kept = (path, kept)

    def mend(self) -> None:
        """Put back what was there, if the file still is."""
        if self._kept is not None and self._kept[0].exists():
            self._kept[0].write_bytes(self._kept[1])
        self._kept = None
