"""Fault plans of the crash matrix for the jobs of vendors that are data alone, made from the calls of each."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from batchsync_mocks.faults import Fault
from kit.matrix import FaultPlan
from simulation.data_vendors import BY_JOB
from simulation.network import NetworkFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.data_vendors import DataVendor

#: calls whose repetition could hurt
SENDING = ("allocate", "upload", "commit")


def data_fault_plans(job: str) -> Iterator[FaultPlan]:
    """Yield every fault plan of a job, in an order in which neighbours are different calls."""
    vendor = BY_JOB[job]
    sending = [name for name in SENDING if name in vendor.calls]
    for kind, name in product(("lose_answer", "refuse", "cut", "reset", "throttle"), vendor.calls):
        yield FaultPlan(f"{kind} at {name}", (_at(vendor, name, kind=kind),))
    for status, name in product((500, 401), vendor.calls):
        yield FaultPlan(f"{name} answered {status}", (_at(vendor, name, kind="status", status=status, times=2),))
    for status, name in product((302, 403, 408, 429, 503), sending):
        gateway = _at(vendor, name, kind="replace_answer", status=status)
        yield FaultPlan(f"{name} done and answered {status}", (gateway,))
    for status, name in product((400, 403), sending):
        refusal = _at(vendor, name, kind="replace_answer", status=status, text='{"message": "Forbidden"}')
        yield FaultPlan(f"{name} done and refused {status} in JSON", (refusal,))
    for (seen, lands), name in product(((0.2, 40.0), (60.0, 20.0), (5.0, 30.0)), sending):
        method, path = vendor.calls[name]
        late = NetworkFault("late", vendor.name, method, path, timeout=seen, arrives=lands)
        yield FaultPlan(f"{name} lands after {lands}", troubles=(late,))
    for name, first, second in product(sending, ("lose_answer", "reset_answer"), ("refuse", "lose_answer", "cut")):
        pair = (_at(vendor, name, kind=first), _at(vendor, "poll", kind=second, times=2))
        yield FaultPlan(f"{first} at {name} and {second} at poll", pair)
    for nth in range(1, 4):
        yield FaultPlan(f"404 at poll {nth}", (_at(vendor, "poll", kind="status", status=404, nth=nth),))
    yield FaultPlan("404 at every poll", (_at(vendor, "poll", kind="vanish", times=0),), doubtful=True)
    for name in ("upload", "errors"):
        if vendor.calls[name][1].startswith("^/_storage"):
            yield FaultPlan(f"URL of {name} expired", (_at(vendor, name, kind="expire"),))


def _at(vendor: DataVendor, name: str, **fault: object) -> Fault:
    """Return a fault of a call."""
    method, path = vendor.calls[name]
    return Fault.from_json({"vendor": vendor.name, "method": method, "path": path, **fault})
