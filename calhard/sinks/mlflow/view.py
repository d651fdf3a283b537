"""The runs table as a person wants it, saved for a link: one night a row, verdict and metrics.

MLflow shows no metrics by default. Its pages keep views in tags of the experiment; that is not
documented, so nothing depends on it: a server that reads them otherwise shows its usual table.
"""

from __future__ import annotations

import json
from urllib.parse import quote

VIEW = "calhard-nights"
TAG = f"mlflow.sharedViewState.{VIEW}"
KIND = "workflowType=machine_learning"
"""Without it MLflow shows its pages for language models."""
NAME = "Nights"
CREATED_MS = 1_767_225_600_000
"""When the view says that it was made: the same for ever, so that it is written once."""
COLUMNS = (
    "tags.`calhard.verdict`",
    "metrics.`audit/incidents_critical`",
    "metrics.`audit/incidents_severe`",
    "metrics.`audit/incidents`",
    "metrics.`fleet/slo_compliance`",
    "metrics.`audit/regressions`",
    "metrics.`audit/violations`",
    "metrics.`fleet/coverage`",
    "metrics.`audit/early_warnings`",
    "metrics.`fleet/models`",
    "attributes.`Dataset`",
)
WIDTHS = {name: 25 + 8 * len(name.split("`")[1]) for name in COLUMNS}
STATE = {
    "searchFilter": "tags.\"calhard.state\" = 'complete'",
    "orderByKey": "tags.`calhard.audit_date`",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
    "selectedColumns": COLUMNS,
    "columnOrder": COLUMNS,
    "columnWidths": WIDTHS,
    "runsExpanded": {},
    "runsPinned": [],
    "runsHidden": [],
    "runsVisibilityMap": {},
    "runsHiddenMode": "FIRST_10_RUNS",
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": False,
    "groupBy": None,
    "groupsExpanded": {},
    "autoRefreshEnabled": True,
    "useGroupedValuesInCharts": True,
    "hideEmptyCharts": True,
    "globalLineChartConfig": {
        "xAxisKey": "step",
        "lineSmoothness": 0,
        "selectedXAxisMetricKey": "",
    },
}


def view_tag() -> tuple[str, str]:
    """Return key and value of the experiment's tag that holds the view.

    Newer servers read an envelope whose ``state`` is JSON in a text, older ones the state itself:
    it is both.
    """
    envelope = {"name": NAME, "createdAt": CREATED_MS, "updatedAt": CREATED_MS}
    return TAG, json.dumps(STATE | envelope | {"state": json.dumps(STATE)})


def runs_link(server: str, experiment_id: str) -> str:
    """Return the address of the runs table with the view."""
    table = f"#/experiments/{quote(experiment_id, safe='')}/runs"
    return f"{server.rstrip('/')}/{table}?{KIND}&viewStateShareKey={VIEW}"


def run_link(server: str, experiment_id: str, run_id: str) -> str:
    """Return the address of a run's page."""
    place = f"{quote(experiment_id, safe='')}/runs/{quote(run_id, safe='')}"
    return f"{server.rstrip('/')}/#/experiments/{place}?{KIND}"
