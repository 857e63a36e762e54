"""The journal: one SQLite file per state folder.

Runs, batches, events, rejects and baseline entries enter and are written in fenced transactions; frozen values leave.
The package must not decide what happens next, and must not use the network.
"""

from batchsync.journal.anchor import accept_older, open_anchored
from batchsync.journal.environment import check_environment, own_environment
from batchsync.journal.files import check_present
from batchsync.journal.journal import Journal
from batchsync.journal.lease import is_held, lease, this_process, unlock
from batchsync.journal.model import Approval, LeaseRow, RejectGroup, RejectRow

__all__ = [
    "Approval",
    "Journal",
    "LeaseRow",
    "RejectGroup",
    "RejectRow",
    "accept_older",
    "check_environment",
    "check_present",
    "is_held",
    "lease",
    "open_anchored",
    "own_environment",
    "this_process",
    "unlock",
]
