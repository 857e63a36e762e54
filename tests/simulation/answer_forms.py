"""Calls and forms of the answers of a seed's vendors: where pages differ, both ways; late, short or other answers."""

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


def draw_calls(draw: random.Random, vendors: Mapping[str, Vendor]) -> dict[str, str]:
    """Draw the settings of the connection to Motorweb, and which of its calls answer; return the settings.

    The call that the connection asks always answers. The other answers, too, or is not found.
    """
    settings = {
        "status_by": draw.choices(["reports", "batch"], [2, 1])[0],
        "errors_by": draw.choices(["json", "csv"], [2, 1])[0],
    }
    motorweb = vendors["motorweb-bdp"]
    switches = {name: draw.choice(["both", "both", value]) for name, value in settings.items()}
    if motorweb.switches.json_errors == "empty":  # the rows stand in the CSV alone
        switches["errors_by"] = "both"
    motorweb.set_switches(switches | {"csv_columns": draw.choice(["assumed", "one"])})
    return settings
