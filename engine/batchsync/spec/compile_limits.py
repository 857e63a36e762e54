"""Compile the `limits:` of a connection, which lower what the vendor spec says and never raise it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.account_limits import AccountLimits
from batchsync.spec.compile_join import at

if TYPE_CHECKING:
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.spec.interpolate import TypedMap
    from batchsync.spec.models_connection import AccountLimitsModel
    from batchsync.spec.problems import Problems


def compile_limits(
    model: AccountLimitsModel, node: TypedMap, rules: VendorRules | None, problems: Problems
) -> AccountLimits | None:
    """Return the limits of a connection; None if it has none.

    Args:
        model: The validated block.
        node: The connection with places.
        rules: Rules of its vendor; None if it is unknown.
        problems: Receives a limit that is higher than the vendor's.
    """
    found = AccountLimits(**model.model_dump())
    if found == AccountLimits():
        return None
    written = node.get("limits")
    for name, limit in model.model_dump().items():
        vendors = getattr(rules.policy.account, name) if rules is not None else None
        if limit is not None and vendors is not None and limit > vendors and written is not None:
            problem = f'"{name}" is higher than the limit of the vendor'
            problems.add("limits", at(written, name), problem, f"at most {vendors:,}")
    return found
