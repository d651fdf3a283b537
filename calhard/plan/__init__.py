"""The audit plan and its file: what is compared, how sure one must be, what bounds hold."""

from calhard.plan.bounds import MetricSpec, Override, Thresholds
from calhard.plan.duration import Window, parse_duration
from calhard.plan.measuring import Measure
from calhard.plan.model import AuditPlan
from calhard.plan.problems import PlanError, Problem
from calhard.plan.secret import Secret
from calhard.plan.sections import Alerts, Regression, Slos, Storage, Windows
from calhard.plan.toml import plan_from_text, plan_from_toml
from calhard.plan.write import plan_to_toml

__all__ = [
    "Alerts",
    "AuditPlan",
    "Measure",
    "MetricSpec",
    "Override",
    "PlanError",
    "Problem",
    "Regression",
    "Secret",
    "Slos",
    "Storage",
    "Thresholds",
    "Window",
    "Windows",
    "parse_duration",
    "plan_from_text",
    "plan_from_toml",
    "plan_to_toml",
]
