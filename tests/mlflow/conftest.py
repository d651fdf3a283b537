"""Fixtures of the tests of MLflow."""

from tests.mlflow.serving import plain_environment, server, settings

__all__ = ["plain_environment", "server", "settings"]
