"""The dashboard for Grafana: every metric and label in it exists, and its shape is that of Grafana's JSON model."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

from batchsync.observers.metric_definitions import METRICS

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "deploy" / "grafana" / "batchsync.json").read_text(encoding="utf-8")
)
#: Columns of Grafana's grid.
COLUMNS = 24
SERIES = {
    name: {*item.labels, *(("le",) if name.endswith("_bucket") else ())}
    for item in METRICS
    for name in (
        [f"{item.name}_{part}" for part in ("bucket", "count", "sum")] if item.kind == "histogram" else [item.name]
    )
}


def expressions() -> list[str]:
    """Return the expressions of all panels and variables."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    queries = [item["query"]["query"] for item in DASHBOARD["templating"]["list"] if item["type"] == "query"]
    return [*found, *queries]


def test_every_metric_of_the_dashboard_exists_with_its_labels() -> None:
    unknown = []
    for expression in expressions():
        names = re.findall(r"batchsync_\w+", expression)
        assert names, expression
        unknown += [name for name in names if name not in SERIES]
        labels = {label for name in names for label in SERIES.get(name, ())}
        used = {
            label for group in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)\s*[=!]", group)
        }
        used |= {
            label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.replace(" ", "").split(",")
        }
        assert used <= labels, expression
    assert unknown == []


def test_every_metric_has_a_panel_or_a_reason() -> None:
    shown = set(re.findall(r"batchsync_\w+?(?=_bucket|_count\b|\b)", " ".join(expressions())))
    without = {item.name for item in METRICS} - shown
    # What panels of Grafana do not add to: identity, the plain time beside ages that are shown, and what alerts tell.
    assert without == {
        "batchsync_build_info",
        "batchsync_job_finished_timestamp_seconds",
        "batchsync_job_suspended",
        "batchsync_journal_readable",
        "batchsync_last_settlement_timestamp_seconds",
        "batchsync_origin_reachable",
    }


def test_legends_use_labels_of_their_expressions() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) - {"instance"}
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            kept = set(grouped[0].replace(" ", "").split(",")) if grouped else {"job"}
            assert used <= kept, target["expr"]


def test_dashboard_has_the_shape_of_the_json_model() -> None:
    """https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/ ."""
    assert DASHBOARD["id"] is None
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", DASHBOARD["uid"])
    kinds = {
        "title": str, "tags": list, "timezone": str, "editable": bool, "graphTooltip": int, "schemaVersion": int,
        "version": int, "refresh": str, "panels": list, "templating": dict, "annotations": dict, "time": dict,
        "timepicker": dict, "links": list,
    }  # fmt: skip
    assert {name for name, kind in kinds.items() if not isinstance(DASHBOARD.get(name), kind)} == set()
    assert set(DASHBOARD["time"]) == {"from", "to"}
    variables = {item["name"]: item for item in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    source = {"type": "prometheus", "uid": "${datasource}"}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DASHBOARD["panels"]:
        assert panel["type"] in {"stat", "timeseries"}
        assert panel["title"]
        assert panel["datasource"] == source
        assert set(panel["fieldConfig"]) == {"defaults", "overrides"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        assert all(target["datasource"] == source for target in panel["targets"])


def test_panels_do_not_overlap() -> None:
    cells = {panel["id"]: panel["gridPos"] for panel in DASHBOARD["panels"]}
    for at in cells.values():
        assert 0 <= at["x"] < at["x"] + at["w"] <= COLUMNS
        assert min(at["y"], at["h"] - 1) >= 0
    for one, other in combinations(cells.values(), 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
