"""Histories that lie elsewhere than in files: metrics that teams log to MLflow."""

from calhard.sources.named import experiment_of
from calhard.sources.opened import History, fetched

__all__ = ["History", "experiment_of", "fetched"]
