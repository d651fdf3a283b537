"""Fixtures of the tests of stores."""

from tests.store.remote import bucket

__all__ = ["bucket"]
