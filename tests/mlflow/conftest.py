"""Fixtures of the tests of MLflow."""

from tests.mlflow.serving import plain_environment, server, settings
from tests.store.remote import bucket

__all__ = ["bucket", "plain_environment", "server", "settings"]
