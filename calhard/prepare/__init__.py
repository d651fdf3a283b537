"""Any history becomes sorted Parquet whose files follow one another; an audit streams it."""

from calhard.prepare.result import PrepareReport
from calhard.prepare.run import prepare_history

__all__ = ["PrepareReport", "prepare_history"]
