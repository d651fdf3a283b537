"""The audit plan and its file: what is compared, how sure one must be, what bounds hold."""

from calhard.plan.duration import Window, parse_duration
from calhard.plan.model import AuditPlan, Regression
from calhard.plan.secret import Secret
from calhard.plan.toml import PlanError, Problem, plan_from_text, plan_from_toml, plan_to_toml

__all__ = [
    "AuditPlan",
    "PlanError",
    "Problem",
    "Regression",
    "Secret",
    "Window",
    "parse_duration",
    "plan_from_text",
    "plan_from_toml",
    "plan_to_toml",
]
