"""Fixtures of the tests of the registry."""

from uuid import uuid4

import pytest

from calhard.plan.registry import Registry
from calhard.sinks.mlflow.client import connect
from tests.mlflow.serving import plain_environment, server, settings

__all__ = ["plain_environment", "server", "settings"]


@pytest.fixture
def name():
    """A name that no other test uses in the shared server."""
    return f"m{uuid4().hex[:10]}"


@pytest.fixture
def connected(settings):
    """Connect to the shared server; keys of [mlflow.registry] may be given."""

    def opened(**keys):
        return connect(settings.model_copy(update={"registry": Registry(**keys)}))

    return opened
