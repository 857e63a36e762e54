"""What the baseline of a job keeps of each record that the target holds (`baseline: {keep: ...}`)."""

from __future__ import annotations

from enum import StrEnum


class Keep(StrEnum):
    """What is kept besides the fingerprint of a record."""

    #: nothing else
    FINGERPRINTS = "fingerprints"
    #: a hash per member, which shows the members that differ
    MEMBERS = "members"
    #: the record itself, which shows old and new values; and the hashes
    RECORDS = "records"
