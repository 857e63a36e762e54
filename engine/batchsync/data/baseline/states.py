"""Values of the column `last_state` of a baseline segment."""

from __future__ import annotations

#: Outcome of the latest version of a key. A removal of unknown outcome has its own value, as has a row to be sent again
#: (`RESEND`): for both it is unknown whether the target still holds the version that it accepted before.
#: `ASSUMED` marks an accepted version that the target holds on a person's word.
REJECTED, UNKNOWN, REMOVAL_UNKNOWN, RESEND, ASSUMED = 1, 2, 3, 4, 5
