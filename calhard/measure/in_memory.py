"""Predictions and outcomes in memory become calibration metrics per model, class and period."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from calhard.errors import InputError
from calhard.history.account import RowAccount
from calhard.history.batches import BATCH_ROWS
from calhard.history.convert import YEAR_9999, ColumnError
from calhard.history.ids import Keys
from calhard.measure.columns import plan_predictions
from calhard.measure.duplicates import settle
from calhard.measure.measured import measure_rows
from calhard.measure.periods import Period
from calhard.measure.rows import concatenate
from calhard.measure.rules import Predicted
from calhard.measure.settings import Settings
from calhard.measure.tables import history_schema
from calhard.plan import AuditPlan

NAME = "predictions"


def period_history(
    predictions: pa.Table | Any, period: str = "1d", plan: AuditPlan | None = None
) -> pa.Table:
    """Return one row per model, class and period that has any prediction, sorted by them.

    The columns are those of `calhard measure`, which does the same with files of any size, keeps
    the bins and measures again only what changed: ``aece``, ``dece``, ``alpha`` and their standard
    errors, ``brier``, ``tau``, ``clamp_rate`` and so on; docs/measure.md defines each.
    ``timestamp`` is the start of the period in UTC, ``ingested_at`` its end; weeks begin on
    Mondays. ``total_samples`` rows were used and ``unusable_rows`` were not: their score is no
    probability, or score or label is missing. A period without a usable row has null metrics.

    Parameters
    ----------
    predictions : pa.Table, or anything that `pyarrow.table` takes, such as a DataFrame
        ``model_id``, ``class_id`` (text or integers), ``timestamp`` (any that a history may hold),
        ``score`` and ``label`` (numbers in [0, 1]; labels may be booleans), and where wanted
        ``weight``, ``mask``, ``example_id`` and text columns, which become tags.
    period : str
        Such as ``"1d"``, ``"7d"``, ``"1h"``, ``"1mo"`` (calendar months) or ``"1000rows"``.
    plan : AuditPlan, optional
        Names of the columns, the zone of naive timestamps, and the section ``measure``.

    Raises
    ------
    InputError
        A column is missing or holds no such values, or a row has no key or no timestamp.
    ConfigError
        ``period`` is none.

    Source: Naeini, Cooper & Hauskrecht 2015; Nguyen & O'Connor 2015; Nixon et al. 2019; Cox 1958.
    """
    plan = plan or AuditPlan()
    if not isinstance(predictions, pa.Table):
        predictions = pa.table(predictions)
    settings = Settings(Period.parse(period), plan)
    keys, account = Keys(), RowAccount()
    try:
        columns = plan_predictions(predictions.schema, plan.columns, {}, plan.measure.tags)
        parts, first = [], 0
        for batch in predictions.to_batches(BATCH_ROWS):
            found = Predicted(batch, columns, NAME, first, keys, plan.windows.timezone)
            parts.append(found.rows(keys, columns.tags, YEAR_9999, account))
            first += batch.num_rows
    except ColumnError as e:
        raise InputError(f"{NAME}: {e.reason}; {e.remedy}") from e
    if account.rejected:
        refused = [line for line in account.told(100) if " row(s): " in line]
        raise InputError("\n".join([f"{NAME}: rows that cannot be measured", *refused]))
    if not parts:
        return history_schema(plan.measure.extras, columns.tags).empty_table()
    rows = settle(concatenate(parts), keys).rows
    return measure_rows(rows, keys, settings).history
