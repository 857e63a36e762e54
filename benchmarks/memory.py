"""Memory and processor time of a process, from /proc (Linux)."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Self

_PAUSE = 0.05
#: Indexes of the ticks in user and kernel mode in /proc/PID/stat, after the name of the process.
_USER, _SYSTEM = 11, 12


def _memory(pid: int | str) -> dict[str, int]:
    """Return VmHWM and RssAnon of a process in MiB; empty if they cannot be read."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return {}
    pairs = [line.split(":", 1) for line in text.splitlines() if ":" in line]
    return {name: int(value.split()[0]) >> 10 for name, value in pairs if name in ("VmHWM", "RssAnon")}


def processor_seconds(pid: int) -> float:
    """Return the processor time of a running process in seconds; 0 if it cannot be read."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")


class UsageSampler(threading.Thread):
    """Thread that samples a process twenty times a second; a context manager."""

    def __init__(self, pid: int | str) -> None:
        """Sample a process by its id, or `self`."""
        super().__init__(daemon=True)
        self._pid = pid
        self._peak = {"VmHWM": 0, "RssAnon": 0}
        self._cpu = 0.0
        self._stop_event = threading.Event()

    def run(self) -> None:
        """Sample until stopped."""
        while not self._stop_event.wait(_PAUSE):
            self.sample()

    def sample(self) -> None:
        """Take a sample."""
        now = _memory(self._pid)
        self._peak = {name: max(peak, now.get(name, 0)) for name, peak in self._peak.items()}
        if isinstance(self._pid, int):
            self._cpu = max(self._cpu, processor_seconds(self._pid))

    def peak_usage(self) -> dict[str, float]:
        """Return the peak usage so far.

        Returns:
            `peak` (VmHWM, includes mapped files) and `anon` (RssAnon, cannot be reclaimed) in MiB, `cpu` in seconds.
            Of another process, the last twentieth of a second is missing.
        """
        return {"peak": self._peak["VmHWM"], "anon": self._peak["RssAnon"], "cpu": self._cpu}

    def __enter__(self) -> Self:
        """Start sampling."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sampling."""
        self._stop_event.set()
        self.join()


_SELF = UsageSampler("self")
_SELF.start()


def peak_usage() -> dict[str, float]:
    """Return the peak usage of this process since this module was imported; see `UsageSampler.peak_usage`."""
    _SELF.sample()
    return _SELF.peak_usage() | {"cpu": time.process_time()}
