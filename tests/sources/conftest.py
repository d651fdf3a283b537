"""Fixtures of the tests of sources: the shared MLflow server, and a way to log to it quickly."""

import pytest

from tests.mlflow.serving import plain_environment, server, settings
from tests.sources.teams import Team

__all__ = ["plain_environment", "server", "settings", "team"]


@pytest.fixture
def team(server, request):
    """A team with an experiment of its own on the shared server; it logs to the database."""
    return Team(server, request.node.name[:200])
