"""From predictions with their outcomes to a history of calibration metrics."""

from calhard.measure.in_memory import period_history
from calhard.measure.run import measure_history

__all__ = ["measure_history", "period_history"]
