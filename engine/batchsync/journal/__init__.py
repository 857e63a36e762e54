"""The journal: events, batches, runs, rejects and baselines in one SQLite file. It decides nothing."""

from lading.journal.journal import Journal
from lading.journal.lease import is_held, lease, this_process, unlock
from lading.journal.model import Approval, LeaseRow, RejectGroup, RejectRow

__all__ = [
    "Approval",
    "Journal",
    "LeaseRow",
    "RejectGroup",
    "RejectRow",
    "is_held",
    "lease",
    "this_process",
    "unlock",
]
