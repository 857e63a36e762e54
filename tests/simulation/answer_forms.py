"""Forms in which the vendors of a seed return row logs and results: late, short at first, or written otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from batchsync_mocks.vendor import Vendor


def draw_answer_forms(draw: random.Random, vendors: Mapping[str, Vendor]) -> None:
    """Set switches of the vendors in some seeds. All delays are within the grace period, so that no row is unknown."""
    if draw.random() < 0.6:
        return
    echo, errors = draw.choice(["lower", "padded", "as_sent"]), draw.choice(["full", "empty"])
    late_results, late_log = draw.choice([0, 400, 2000]), draw.choice([0, 3, 300])
    vendors["motorweb-bdp"].set_switches({"echo": echo, "json_errors": errors, "results_after": late_results})
    form = draw.choice(["lines", "array", "bom", "padded"])
    vendors["sitecore-cdp"].set_switches({"log_form": form, "log_after": late_log})
