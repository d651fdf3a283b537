"""From predictions with their outcomes to a history of calibration metrics."""

from calhard.measure.in_memory import period_history

__all__ = ["period_history"]
