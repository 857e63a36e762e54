"""How much memory this process has had at most, from the kernel's own books (Linux). It knows no other process."""

from __future__ import annotations

import threading
from pathlib import Path

_STATUS = Path("/proc/self/status")
_PAUSE = 0.05


def _now() -> dict[str, int]:
    """Return the kernel's figures of this process in MiB."""
    if not _STATUS.exists():
        return {}
    pairs = [line.split(":", 1) for line in _STATUS.read_text(encoding="ascii").splitlines() if ":" in line]
    return {name: int(value.split()[0]) >> 10 for name, value in pairs if name in ("VmHWM", "RssAnon")}


class _Sampler(threading.Thread):
    """Looks at anonymous memory twenty times a second."""

    def __init__(self) -> None:
        """Start as a daemon: the process does not wait for it."""
        super().__init__(daemon=True)
        self.most = 0
        self._wake = threading.Event()

    def run(self) -> None:
        """Look until the process ends."""
        while not self._wake.wait(_PAUSE):
            self.most = max(self.most, _now().get("RssAnon", 0))


_SAMPLER = _Sampler()
_SAMPLER.start()


def high_water() -> dict[str, int]:
    """Return `peak` (VmHWM: with mapped files) and `anon` (RssAnon sampled: what cannot be given back), in MiB."""
    found = _now()
    return {"peak": found.get("VmHWM", 0), "anon": max(_SAMPLER.most, found.get("RssAnon", 0))}
