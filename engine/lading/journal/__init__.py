"""The journal: events, batches, runs, rejects and baselines in one SQLite file. It decides nothing."""

from lading.journal.journal import Journal
from lading.journal.lease import lease, this_process, unlock
from lading.journal.model import BaselinePointer, LeaseRow, RejectGroup, RejectRow, Run, RunState

__all__ = [
    "BaselinePointer",
    "Journal",
    "LeaseRow",
    "RejectGroup",
    "RejectRow",
    "Run",
    "RunState",
    "lease",
    "this_process",
    "unlock",
]
