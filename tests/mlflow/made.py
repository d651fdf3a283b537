"""Nights made of their tables, published by the real writer: small ones, and a very large one."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from calhard.report import html_report, regression_report, weekly_slo_report
from calhard.schema import EVIDENCE
from calhard.store import NightWriter
from tests.findings.tables import ago, regressions, violations, warnings
from tests.report.nights import incident, night, summary
from tests.report.shown import exhibits

LAST = date(2026, 5, 31)
POLICY = """[calibration.hardening]
fleet = "prod"

[calibration.hardening.slos]
aece_threshold = 0.01

[calibration.hardening.mlflow]
uri = "http://mlflow.example"
"""
METRICS = ("aece", "dece", "alpha", "clamp_rate", "merged_bin_rate")
SEVERITIES = ("critical", "severe", "moderate", "minor")
_BROKEN = {"current_value": 0.05, "baseline_value": 0.02, "drift": 0.03, "threshold": 0.01}


def about(fleet, day=LAST, *, metrics=METRICS, **more):
    """A summary as the pipeline writes it, of a night of this date."""
    p_values = [40, *[9] * 19]
    told = {"series": 9, "median": 0.02, "p90": 0.03, "p_values": p_values}
    counted = {k: v for k, v in more.items() if isinstance(v, int) and k != "exit_code"}
    return (
        summary(fleet=fleet, **counted)
        | {
            "night": day.isoformat(),
            "as_of": f"{(day + timedelta(days=1)).isoformat()}T00:00:00+00:00",
            "plan_sha256": "a" * 64,
            "input_sha256": "b" * 64,
            "baseline_sha256": None,
            "timings": {"seconds": 2.0},
            "metrics": dict.fromkeys(metrics, told),
        }
        | {k: v for k, v in more.items() if k not in counted}
    )


def publish(out, tables, told, *, evidence=None, policy=POLICY):
    """Publish a night of these tables and this summary; return its reader."""
    report = night(tables, told, policy)
    with NightWriter(out, told["night"]) as writer:
        for name, table in report.tables.items():
            if name != "evidence":
                writer.write_table(name, table)
        writer.write_table("evidence", EVIDENCE.empty_table() if evidence is None else evidence)
        writer.write_text("weekly_slo_report.txt", weekly_slo_report(report))
        writer.write_text("regression_report.txt", regression_report(report))
        writer.write_text("report.html", html_report(report, exhibits(report)))
        if policy:
            writer.write_text("calhard.toml", policy)
        writer.write_json("summary.json", told)
        return writer.publish({"as_of": told["as_of"], "fleet": told["fleet"]})


def nights(out, fleet, count, tables=None):
    """Publish nights in a row, the last one with these tables; each finds ever more."""
    for k in range(count):
        day = LAST - timedelta(days=count - 1 - k)
        verdict = "unhealthy" if k == count - 1 else "needs attention" if k else "healthy"
        found = {"regressions": 10 * k**2, "incidents": k, "violations": k}
        told = about(fleet, day, verdict=verdict, **found)
        last = publish(out, tables if k == count - 1 else None, told)
    return last


def found(many):
    """Tables of so many findings: half of them regressions, two fifths SLOs, the rest warnings."""
    rows = [
        {
            "model_id": f"a-model-with-a-name-{i:05d}",
            "class_id": f"class-{i % 10}",
            "metric": METRICS[i % len(METRICS)],
            "severity": SEVERITIES[i % 4],
            "baseline_value": 0.02,
            "current_value": 0.05,
            "change_magnitude": 0.03,
            "onset": ago(12 + i % 48),
            "detail": "the level moved by +0.03 (+4.0 sd), q = 1e-07",
        }
        for i in range(many // 2)
    ]
    broken = [row | {"severity": "high"} | _BROKEN for row in rows[: 2 * many // 5]]
    warned = [{"model_id": row["model_id"]} for row in rows[: many // 10]]
    ones = [
        incident(title=f"incident {i}", models=[r["model_id"] for r in rows[i::200]], scope="fleet")
        for i in range(min(200, len(rows)))
    ]
    return {
        "regressions": regressions(*rows),
        "violations": violations(*broken),
        "warnings": warnings(*warned),
        "incidents": pa.concat_tables(ones),
    }


def evidence(models, classes=10, metrics=METRICS):
    """Evidence of models x classes x metrics sound series, sorted as a night's."""
    size, rng = models * classes * len(metrics), np.random.default_rng(0)
    names = pa.array([f"a-model-with-a-name-{i:05d}" for i in range(models)])
    kinds = pa.array([f"class-{i}" for i in range(classes)])
    index = np.arange(size)
    known = {
        "model_id": names.take(pa.array(index // (classes * len(metrics)))),
        "class_id": kinds.take(pa.array(index // len(metrics) % classes)),
        "metric": pa.array(sorted(metrics)).take(pa.array(index % len(metrics))),
        "status": pa.array(["ok"]).take(pa.array(np.zeros(size, np.int64))),
        "analysis_mean": pa.array(rng.normal(0.02, 0.001, size)),
        "p_level": pa.array(rng.random(size)),
    }
    columns = [known.get(field.name, pa.nulls(size, field.type)) for field in EVIDENCE]
    return pa.table(columns, schema=EVIDENCE)
