"""Faults that are armed during one process life: at the mocks, on the network, and as damage on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

    from batchsync_mocks.control import MockContext
    from simulation.fault_plan import PlannedFault
    from simulation.network import Network


class ArmedFaults:
    """Faults armed at the mocks and on the network."""

    def __init__(self, kit: MockContext, network: Network) -> None:
        """Start with no fault armed."""
        self._kit, self._network = kit, network

    def arm(self, planned: Sequence[PlannedFault]) -> None:
        """Arm the faults."""
        for item in planned:
            if item.fault:
                self._kit.faults.arm([item.fault])
            if item.network_fault:
                self._network.arm(item.network_fault)

    def any_hit(self) -> bool:
        """Return whether any armed fault hit a request."""
        return any(self._at_mocks()) or any(self._on_network())

    def disarm(self, planned: Sequence[PlannedFault]) -> list[PlannedFault]:
        """Disarm the faults that `arm` armed; return those that hit a request."""
        hits = dict(zip([id(item) for item in planned if item.fault], self._at_mocks(), strict=True))
        hits |= dict(zip([id(item) for item in planned if item.network_fault], self._on_network(), strict=True))
        self.clear()
        return [item for item in planned if hits[id(item)]]

    def clear(self) -> None:
        """Disarm everything."""
        self._kit.faults.clear()
        self._network.faults.clear()

    def _at_mocks(self) -> list[int]:
        return [item["hits"] for item in self._kit.faults.report()]

    def _on_network(self) -> list[int]:
        return [counts[1] for _, counts in self._network.faults]


class FileDamage:
    """One changed byte in one file."""

    def __init__(self) -> None:
        """Start with nothing damaged."""
        self._original: tuple[Path, bytes] | None = None

    @property
    def done(self) -> bool:
        """Whether a file is damaged now."""
        return self._original is not None

    def damage_any(self, files: Sequence[Path], draw: random.Random) -> None:
        """Change a byte of one of the files."""
        path = draw.choice(files)
        content = path.read_bytes()
        at = draw.randrange(len(content))
        path.chmod(0o600)
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :])
        self._original = (path, content)

    def repair(self) -> None:
        """Restore the original content, if the file still exists."""
        if self._original is not None and self._original[0].exists():
            self._original[0].write_bytes(self._original[1])
        self._original = None
