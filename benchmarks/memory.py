"""How much memory and processor a process has had, from the kernel's own books (Linux). It knows no work."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Self

_PAUSE = 0.05
#: Where the processor's ticks stand in the kernel's line on a process, behind its name: for itself, for the kernel.
_USER, _SYSTEM = 11, 12


def _now(pid: int | str) -> dict[str, int]:
    """Return the kernel's figures of a process in MiB; nothing where there is no such process or book."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return {}
    pairs = [line.split(":", 1) for line in text.splitlines() if ":" in line]
    return {name: int(value.split()[0]) >> 10 for name, value in pairs if name in ("VmHWM", "RssAnon")}


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process that is alive; 0 where it cannot be known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")


class Watched(threading.Thread):
    """Looks at a process twenty times a second; a context manager."""

    def __init__(self, pid: int | str) -> None:
        """Start as a daemon: nobody waits for it."""
        super().__init__(daemon=True)
        self._pid = pid
        self._most = {"VmHWM": 0, "RssAnon": 0}
        self._cpu = 0.0
        self._wake = threading.Event()

    def run(self) -> None:
        """Look until the process ends, or nobody wants to know any more."""
        while not self._wake.wait(_PAUSE):
            self.look()

    def look(self) -> None:
        """Look once."""
        now = _now(self._pid)
        self._most = {name: max(most, now.get(name, 0)) for name, most in self._most.items()}
        if isinstance(self._pid, int):
            self._cpu = max(self._cpu, processor_seconds(self._pid))

    def high_water(self) -> dict[str, float]:
        """Return what was the most that was seen.

        `peak` (VmHWM: with mapped files) and `anon` (RssAnon: what cannot be given back) in MiB, `cpu` in seconds; the
        last twentieth of a second of another process is not in it.
        """
        return {"peak": self._most["VmHWM"], "anon": self._most["RssAnon"], "cpu": self._cpu}

    def __enter__(self) -> Self:
        """Begin to look."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking."""
        self._wake.set()
        self.join()


_SELF = Watched("self")
_SELF.start()


def high_water() -> dict[str, float]:
    """Return what `Watched` has seen of this process since this module was imported."""
    _SELF.look()
    return _SELF.high_water() | {"cpu": time.process_time()}
