"""How metrics that teams log to MLflow become a history."""

from __future__ import annotations

from calhard.plan.sections import Section


class Logged(Section):
    """What ``mlflow:EXPERIMENT`` reads as a history."""
